"""One change at a time, judged by cross-validation on train_210; the tables of docs/results.md.

    python benchmarks/ablation.py [--only WORD] [--repeats N]

The first table removes the seed's faults one after the other, each row keeping those before it. The
second takes one part away from `jade`. No test file is read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
SHOWN = ("f1", "iou50", "type_f1", "ece")


class Row(NamedTuple):
    """A recipe and what is changed in it."""

    name: str
    recipe: str
    changes: tuple[str, ...] = ()


def _steps() -> list[Row]:
    """The seed's run, then one fault less in each row."""
    steps = [
        ("seed, random split: leaks", ()),
        ("+ grouped and purged split", ("split.kind=grouped", "split.purge=true")),
        ("+ span loss on logits, pos_weight 13.1", ("loss.span=logits", "loss.pos_weight=13.1")),
        ("+ threshold chosen on validation", ("decoder.choose=true",)),
        ("+ 40 epochs", ("training.epochs=40",)),
        ("+ best single span", ("decoder.kind=best_span", "loss.pos_weight=1")),
        ("+ countdown on the scale of the others", ("targets.countdown_scale=20",)),
        ("+ soft targets", ("targets.span_edge_width=0.5",)),
        ("+ per-bar edges, no pooled pointer", ("model.tasks=[type, span, countdown, edges]",)),
        ("+ uniqueness weights", ("split.uniqueness_weights=true",)),
        ("+ reflection", ("training.reflection=true",)),
        ("+ lighter dropout", ("model.input_dropout=0.1", "model.head_dropout=0.3")),
    ]
    rows, changes = [], ()
    for name, added in steps:
        changes += added
        rows.append(Row(name, "seed", changes))
    return rows


PARTS = [
    Row("jade", "jade"),
    Row("jade-ensemble (linear, 8 units)", "jade-ensemble"),
    Row("jade without reflection", "jade", ("training.reflection=false", "model.symmetric=false")),
    Row("jade with windows shifted by 52 too", "jade", ("data.offsets=[-52, 0, 52]",)),
    Row("jade, smoothed label only", "jade", ("loss.choice_soft_share=1",)),
    Row("jade, hidden run only", "jade", ("loss.choice_soft_share=0",)),
    Row("jade, ends without noise", "jade", ("model.end_noise=[1.0]",)),
    Row("jade, volatility of 10 bars", "jade", ("candidates.unit={bars: 10}",)),
    Row("jade, volatility of 100 bars", "jade", ("candidates.unit={bars: 100}",)),
    Row("jade, without uniqueness weights", "jade", ("split.uniqueness_weights=false",)),
]


def main() -> int:
    """Run every row, two at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--only", default="", help="rows whose name has this word")
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    for title, rows in (("fault", _steps()), ("part", PARTS)):
        chosen = [row for row in rows if arguments.only in row.name]
        print(
            f"\n| {title} | bar F1 | IoU ≥ 0.5 | type F1 | ECE | time |\n|---|---|---|---|---|---|"
        )
        with ThreadPoolExecutor(2) as pool:
            for line in pool.map(lambda row: judge(row, arguments), chosen):
                print(line, flush=True)
    return 0


def judge(row: Row, arguments: argparse.Namespace) -> str:
    """A line of the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scores.json"
        argv = [sys.executable, "-m", "jobs.crossval", "--data", arguments.data, "--out", str(out)]
        argv += ["--config", f"configs/train/{row.recipe}.yaml"]
        argv += ["--repeats", str(arguments.repeats)]
        argv += [word for change in row.changes for word in ("--set", change)]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"| {row.name} | failed: {done.stderr.strip().splitlines()[-1]} |"
        scores = json.loads(out.read_text(encoding="utf-8"))["scores"]["recipe"]
    cells = " | ".join(_cell(scores.get(name)) for name in SHOWN)
    return f"| {row.name} | {cells} | {time.monotonic() - began:.0f} s |"


def _cell(score: dict[str, Any] | None) -> str:
    if score is None:
        return "-"
    return f"{score['value']:.3f} [{score['low']:.2f}, {score['high']:.2f}]"


if __name__ == "__main__":
    sys.exit(main())
