"""One change at a time, judged by cross-validation on train_210; the tables of docs/results.md.

    python benchmarks/ablation.py [--table faults] [--only WORD] [--repeats N] [--encoder RUN]

`faults` removes the seed's faults one after the other, each row keeping those before it. `more`
adds one thing to the last of those rows. `parts` changes one part of `jade` or `jade-ensemble`.
`curve` learns from more and more windows of train_2000 and judges on the stretches of time that a
fold leaves out: all sizes on the same 2,000 windows; its last rows learn from all
that a fold leaves. No test file is read. Rows with a pre-trained encoder need the folder of a run
of the recipe pretrain. `lead` is that in bar F1 over the segment rule in local volatility, paired.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
SHOWN = ("f1", "iou50", "average_precision", "type_f1", "ece")
RULE = "local_segment"
ENCODER = "model.encoder={encoder}"


class Row(NamedTuple):
    """A recipe and what is changed in it."""

    name: str
    recipe: str
    changes: tuple[str, ...] = ()


FAULTS = (
    ("seed, random split: leaks", ()),
    ("+ grouped and purged split", ("split.kind=grouped", "split.purge=true")),
    ("+ span loss on logits", ("loss.span=logits",)),
    ("+ pos_weight 13.1", ("loss.pos_weight=13.1",)),
    ("+ threshold chosen on validation", ("decoder.choose=true",)),
    ("+ countdown on the scale of the others", ("targets.countdown_scale=20",)),
    ("+ best single span", ("decoder.kind=best_span",)),
    ("+ soft targets", ("targets.span_edge_width=0.5",)),
    ("+ per-bar edges, no pooled pointer", ("model.tasks=[type, span, countdown, edges]",)),
    ("+ uniqueness weights", ("split.uniqueness_weights=true",)),
    ("+ reflection", ("training.reflection=true",)),
    ("+ lighter dropout", ("model.input_dropout=0.1", "model.head_dropout=0.3")),
    ("+ 40 epochs", ("training.epochs=40",)),
)
FIXED = tuple(change for _, changes in FAULTS for change in changes)
# Blocks of time: random groups would taint a third of so dense a file.
MANY = ("data.labelled=labelled/train_2000.parquet", "split.kind=blocked")
RECROPPED = ("data.crops={number: 4}",)

TABLES = {
    "faults": [
        Row(FAULTS[i][0], "seed", tuple(c for _, changes in FAULTS[: i + 1] for c in changes))
        for i in range(len(FAULTS))
    ],
    "more": [
        Row("random split: leaks", "seed", (*FIXED, "split.kind=random", "split.purge=false")),
        Row(
            "CRF and Viterbi, no best span",
            "seed",
            (*FIXED, *("model.crf=true", "decoder.kind=viterbi")),
        ),
        Row("encoder pre-trained", "seed", (*FIXED, ENCODER)),
        Row("re-cropped, 4 crops a window", "seed", (*FIXED, *RECROPPED)),
        Row("the last 4 checkpoints averaged", "seed", (*FIXED, "ensemble.checkpoints=4")),
        Row("ensemble of 5 seeds", "seed", (*FIXED, "ensemble.seeds=5")),
    ],
    "parts": [
        Row("jade", "jade"),
        Row("jade-ensemble (linear, 8 units)", "jade-ensemble"),
        Row("jade-ensemble, one unit", "jade-ensemble", ("ensemble.units=[]",)),
        Row("jade, best single span", "jade", ("decoder.kind=best_span", "decoder.choose=true")),
        Row("jade, encoder pre-trained", "jade", (ENCODER,)),
        Row("jade, ensemble of 5 seeds", "jade", ("ensemble.seeds=5",)),
        Row("jade, the last 4 checkpoints averaged", "jade", ("ensemble.checkpoints=4",)),
        Row("jade, re-cropped", "jade", RECROPPED),
        Row("jade-ensemble, re-cropped", "jade-ensemble", RECROPPED),
        Row("jade, without the position", "jade", ("candidates.place=false",)),
        Row("jade-ensemble, without the position", "jade-ensemble", ("candidates.place=false",)),
        Row("jade, no reflection", "jade", ("training.reflection=false", "model.symmetric=false")),
        Row("jade, also windows shifted by 52", "jade", ("data.offsets=[-52, 0, 52]",)),
        Row("jade, half smoothed label", "jade", ("loss.choice_soft_share=0.5",)),
        Row("jade, smoothed label", "jade", ("loss.choice_soft_share=1",)),
        Row("jade-ensemble, half smoothed label", "jade-ensemble", ("loss.choice_soft_share=0.5",)),
        Row("jade, ends without noise", "jade", ("model.end_noise=[1.0]",)),
        Row("jade, volatility of 10 bars", "jade", ("candidates.unit={bars: 10}",)),
        Row("jade, volatility of 100 bars", "jade", ("candidates.unit={bars: 100}",)),
        Row("jade, no uniqueness weights", "jade", ("split.uniqueness_weights=false",)),
    ],
    "curve": [
        Row(f"{recipe}, {size or 'all'} windows", recipe, (*MANY, f"data.windows={size or 'null'}"))
        for recipe in ("jade-ensemble", "jade")
        for size in (50, 100, 210, 500, 1000, None)
    ],
}


def main() -> int:
    """Run every row, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--table", choices=tuple(TABLES), action="append", help="all four")
    parser.add_argument("--only", default="", help="rows whose name has this word")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--encoder", type=Path, help="folder of a run of the recipe pretrain")
    arguments = parser.parse_args()
    for table in arguments.table or TABLES:
        print(f"\n| {table} | {' | '.join(SHOWN)} | lead | time |\n|{'---|' * (len(SHOWN) + 3)}")
        for row in TABLES[table]:
            if arguments.only in row.name:
                print(judge(row, arguments), flush=True)
    return 0


def judge(row: Row, arguments: argparse.Namespace) -> str:
    """Return a line of the table."""
    if ENCODER in row.changes and arguments.encoder is None:
        return f"| {row.name} | not run: give --encoder |"
    encoder = "" if arguments.encoder is None else arguments.encoder.resolve()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scores.json"
        argv = [sys.executable, "-m", "jobs.crossval", "--data", arguments.data, "--out", str(out)]
        argv += ["--config", f"configs/train/{row.recipe}.yaml"]
        argv += ["--repeats", str(arguments.repeats)]
        for change in row.changes:
            argv += ["--set", change.replace("{encoder}", str(encoder))]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"| {row.name} | failed: {done.stderr.strip().splitlines()[-1]} |"
        table = json.loads(out.read_text(encoding="utf-8"))["scores"]
    scores = [table["recipe"].get(name) for name in SHOWN] + [table[f"recipe - {RULE}"]["f1"]]
    cells = " | ".join(_cell(score) for score in scores)
    return f"| {row.name} | {cells} | {time.monotonic() - began:.0f} s |"


def _cell(score: dict[str, Any] | None) -> str:
    if score is None:
        return "-"
    return f"{score['value']:.3f} [{score['low']:.2f}, {score['high']:.2f}]"


if __name__ == "__main__":
    sys.exit(main())
