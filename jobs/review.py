"""Suspicious labels: cut spans, and windows that share bars but tell them differently.

    python -m jobs.review labelled/train_210.parquet --data DIR --out DIR

Prints how many findings there are of each kind and the worst of them; with --out (by default the
run's artifacts, inside a run) writes all of them as ``review.parquet`` and ``review.csv``, and
pictures of the worst of each kind as ``review-KIND.png``. Kinds: see moola_core/review.py.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.common.entry import exit_code_of
from jobs.common.paths import output, own_artifacts

if TYPE_CHECKING:
    from moola_core.data.windows import Windows
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
    arguments = parser.parse_args(argv)
    arguments.out = arguments.out or own_artifacts()
    return exit_code_of(lambda: review(arguments))


def review(arguments: argparse.Namespace) -> None:
    """Load, find, print, write."""
    print("reading code and data", file=sys.stderr, flush=True)
    from jobs.common.data import data_folder, read_file
    from moola_core.evaluation.label_noise import KINDS, find_noise

    is_path = Path(arguments.file).is_file()
    folder = Path() if is_path else data_folder(arguments.data)
    windows, _ = read_file(folder, arguments.file, skip_bad=arguments.skip_bad)
    findings = find_noise(windows, arguments.near_bars)
    by_kind = {kind: [one for one in findings if one.kind == kind] for kind in KINDS}
    worst = {kind: some[: arguments.worst] for kind, some in by_kind.items() if some}
    print(f"{arguments.file}: {len(windows)} windows, {len(findings)} findings")
    print(f"\n{'kind':>14} {'findings':>8} {'windows':>8} {'share':>6}")
    for kind, some in by_kind.items():
        rows = {row for one in some for row in (one.row, one.other) if row >= 0}
        print(f"{kind:>14} {len(some):8} {len(rows):8} {len(rows) / len(windows):6.0%}")
    _print_worst(windows, worst)
    if arguments.out is not None:
        _write(arguments.out, windows, findings, worst)


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

    out.mkdir(parents=True, exist_ok=True)
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
