"""Suspicious labels: cut spans, and windows that share bars but label them differently.

    python -m jobs.review labelled/train_210.parquet --data DIR --out DIR

Prints how many findings there are of each kind and the worst of them; with --out (by default the
run's artifacts, inside a run) writes all of them as ``review.parquet`` and ``review.csv``, and
pictures of the worst of each kind as ``review-KIND.png``. Kinds: moola_core.evaluation.label_noise.

--html FILE writes a page that shows a window at a time, the worst disagreement first (of windows
that share bars; with --run also of that model), to keep, drop, move or rename its label by keys.
What is decided there is saved as a file, which ``jobs.windows --corrections`` applies.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.common.entry import exit_code_of
from jobs.common.paths import found, make_folder, output, own_artifacts, require_place
from moola_core.errors import DataError

if TYPE_CHECKING:
    from moola_core.data.windows import Windows
    from moola_core.evaluation.disagreement import Claim
    from moola_core.evaluation.label_noise import Finding


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.review",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", help="labelled windows, below the data folder or as a path")
    parser.add_argument(
        "--data", default=os.environ.get("MOOLA_DATA_DIR"), help="default: $MOOLA_DATA_DIR"
    )
    parser.add_argument("--out", type=output, help="a folder ($MOOLA_RUN_DIR/artifacts in a run)")
    parser.add_argument("--near-bars", type=int, default=5, help="near duplicates start within (5)")
    parser.add_argument("--worst", type=int, default=6, help="shown of each kind (6)")
    parser.add_argument("--skip-bad", action="store_true", help="leave faulty windows out")
    parser.add_argument("--html", type=output, help="a page to correct the labels on")
    parser.add_argument("--run", type=found, help="a run whose model is asked too, for --html")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--any-bar-length", action="store_true", help="also bars unlike those of --run"
    )
    arguments = parser.parse_args(argv)
    arguments.out = arguments.out or own_artifacts()
    if arguments.run is not None and arguments.html is None:
        parser.error("--run: expected --html FILE too")
    return exit_code_of(lambda: review(arguments))


def review(arguments: argparse.Namespace) -> None:
    """Load, find, print, write."""
    print("reading code and data", file=sys.stderr, flush=True)
    from jobs.common.data import data_folder, read_file
    from moola_core.evaluation.label_noise import KINDS, find_noise

    is_path = Path(arguments.file).is_file()
    folder = Path() if is_path else data_folder(arguments.data)
    windows, _ = read_file(folder, arguments.file, skip_bad=arguments.skip_bad)
    if windows.several is not None:
        raise DataError(
            f"{arguments.file}: windows of several spans, expected one a window to review; look at"
            " those of the same list cut one by one: jobs.windows without --several"
        )
    findings = find_noise(windows, arguments.near_bars)
    by_kind = {kind: [one for one in findings if one.kind == kind] for kind in KINDS}
    worst = {kind: some[: arguments.worst] for kind, some in by_kind.items() if some}
    print(f"{arguments.file}: {len(windows)} windows, {len(findings)} findings")
    if findings:
        _print_kinds(windows, by_kind)
        _print_worst(windows, worst)
    else:
        print("no span is cut, and no two windows contradict or nearly repeat one another")
    if arguments.out is not None:
        _write(arguments.out, windows, findings, worst)
    if arguments.html is not None:
        _write_page(arguments, windows, findings)


def _write_page(arguments: argparse.Namespace, windows: Windows, findings: list[Finding]) -> None:
    from moola_core.evaluation.disagreement import claims_of_windows
    from moola_core.plots.review_page import write_review

    out: Path = arguments.html
    require_place("--html", out)
    claims = claims_of_windows(windows, findings)
    if arguments.run is not None:
        for some, claim in zip(claims, _ask_model(arguments, windows), strict=True):
            some.append(claim)
    shown = write_review(out, Path(arguments.file).name, windows, claims)
    left = f", {len(windows) - shown} less contradicted ones left out" * (shown < len(windows))
    print(f"\nwritten: {out}, a page of {shown} windows{left}; open it in a browser")


def _ask_model(arguments: argparse.Namespace, windows: Windows) -> list[Claim]:
    from jobs.common.data import find_device
    from moola_core.data.series_checks import require_length, require_window
    from moola_core.evaluation.disagreement import claim_of_model
    from moola_core.inference.sliding import answer
    from moola_core.inference.trained_model import load_model

    print(f"evaluating the model on {len(windows):,} windows", file=sys.stderr, flush=True)
    trained = load_model(arguments.run / "artifacts", find_device(arguments.device))
    if not arguments.any_bar_length:
        known = f"{arguments.run} was trained on"
        require_length(arguments.file, windows.bar_ns, trained.bar_ns, known)
    where = f"{arguments.run} was trained on"
    require_window(arguments.file, windows.num_bars, trained.window_bars, where)
    said = answer(trained, windows.bars)
    claims = []
    for row in range(len(windows)):
        start, stop = windows.spans[row].tolist()
        label = (start, stop, windows.labels[windows.types[row]])
        kind = int(said.types[row])
        start, stop = said.spans[row].tolist()
        found = (start, stop, trained.labels[kind] if kind >= 0 else "")
        sure = float(said.type_confidence[row]) if kind >= 0 else 0.0
        claims.append(claim_of_model(label, found, float(said.confidence[row]), sure))
    return claims


def _print_kinds(windows: Windows, by_kind: dict[str, list[Finding]]) -> None:
    print(f"\n{'kind':>14} {'findings':>8} {'windows':>8} {'share':>6}")
    for kind, some in by_kind.items():
        rows = {row for one in some for row in (one.row, one.other) if row >= 0}
        print(f"{kind:>14} {len(some):8} {len(rows):8} {len(rows) / len(windows):6.0%}")


def _print_worst(windows: Windows, worst: dict[str, list[Finding]]) -> None:
    from moola_core.evaluation.label_noise import findings_table

    print(f"\n{'kind':>14} {'bars':>4}  window, span, type | the other one, in its own bars, shift")
    for some in worst.values():
        for row in findings_table(windows, some).to_pylist():
            line = f"{row['kind']:>14} {row['bars']:4}  {row['window_id']}"
            line += f" [{row['start']}, {row['stop']}) {row['type']}"
            if row["other_window_id"] is not None:
                line += f" | {row['other_window_id']} [{row['other_start']}, {row['other_stop']})"
                line += f" {row['other_type']}, {row['shift']:+d}"
            print(line)


def _write(
    out: Path, windows: Windows, findings: list[Finding], worst: dict[str, list[Finding]]
) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    from moola_core.evaluation.label_noise import findings_table
    from moola_core.plots.label_noise import draw_findings

    make_folder("--out", out)
    table = findings_table(windows, findings)
    pyarrow.parquet.write_table(table, out / "review.parquet")
    pyarrow.csv.write_csv(table, out / "review.csv")
    for kind, some in worst.items():
        draw_findings(out / f"review-{kind}.png", windows, some)
    print(
        f"\nwritten: {out / 'review.parquet'}, review.csv, a picture of each of {len(worst)} kinds"
    )


if __name__ == "__main__":
    sys.exit(main())
