r"""Make labelled windows of bars and a list of spans: the file that training takes.

    python -m jobs.windows --bars bars.parquet --spans spans.csv --ends inclusive \
        --out labelled/windows.parquet --seed 1

In: bars as jobs.bars reads them; spans as a table (CSV, Excel, Parquet, JSON: start, end or length,
label; times, bar numbers from 0 or seconds), as labels per bar (timestamp, label; 0 or nothing
outside spans), as rectangles of a chart (time1, time2, text), as TradingView's list of trades, as
Label Studio's export of time series, or as a label track of Audacity. Times without a zone are in
that of the bars. Prints how many spans were kept, and why others were not. docs/data.md has
both formats whole.

    python -m jobs.windows --windows labelled/train_210.parquet --corrections corrections.json \
        --out labelled/train_corrected.parquet

does what was decided on the page of jobs.review with windows that there are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.common.bar_options import add_bar_options, open_named
from jobs.common.entry import exit_code_of
from jobs.common.paths import found, output, require_place
from moola_core.errors import ConfigError, DataError
from moola_core.spans.intervals import MAX_WINDOW_BARS, MIN_WINDOW_BARS, WINDOW_BARS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from moola_core.data.layouts import Stamp
    from moola_core.data.series import BarFile
    from moola_core.data.times import Clock


MAX_NEGATIVES = 100_000


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.windows",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bars", type=found, help="the series")
    parser.add_argument("--spans", type=found, help="the list of spans")
    parser.add_argument("--windows", type=found, help="windows that there are, for --corrections")
    parser.add_argument("--out", type=output, required=True, help="the windows, .parquet")
    parser.add_argument(
        "--ends", choices=("inclusive", "half-open"), help="is the bar at the end inside?"
    )
    parser.add_argument(
        "--unit", choices=("seconds", "bars"), help="what numbers count (bars; seconds in a track)"
    )
    parser.add_argument(
        "--span-stamp",
        choices=("open", "close"),
        help="are times of spans those of the bars' opens or closes? (as in --bars)",
    )
    parser.add_argument(
        "--span-symbol", help="the instrument, of several in the list of spans (that of --symbol)"
    )
    parser.add_argument("--label", help="the word of spans that have none (span, if none has)")
    parser.add_argument(
        "--length",
        type=int,
        default=WINDOW_BARS,
        help=f"bars a window ({WINDOW_BARS}; recipe span learns of any)",
    )
    parser.add_argument("--place", choices=("random", "centre"), default="random")
    parser.add_argument("--margin", type=int, default=5, help="bars from span to edge (5)")
    parser.add_argument(
        "--shifts", type=int, nargs="*", default=[], help="copies moved by so many bars"
    )
    parser.add_argument(
        "--negatives", type=int, default=0, help="add so many windows without a span (0)"
    )
    parser.add_argument(
        "--several", action="store_true", help="mark every span that a window shows, not one alone"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the places (0)")
    parser.add_argument("--corrections", type=found, help="a file saved by the page of jobs.review")
    add_bar_options(parser)
    arguments = parser.parse_args(argv)
    if arguments.windows is None and (arguments.bars is None or arguments.spans is None):
        parser.error("expected --bars FILE and --spans FILE, or --windows FILE")
    if arguments.windows is not None and (arguments.bars or arguments.spans):
        parser.error("--windows: expected no --bars and no --spans beside it")
    if arguments.windows is not None and arguments.corrections is None:
        parser.error("--windows: expected --corrections FILE, to be done with them")
    return exit_code_of(lambda: make(arguments))


def make(arguments: argparse.Namespace) -> None:
    """Read, cut, write, report."""
    import pyarrow.parquet

    from moola_core.data.corrections import apply_corrections, read_corrections
    from moola_core.data.windows import read_columns
    from moola_core.io.atomic import replacing

    out: Path = arguments.out
    if out.suffix != ".parquet":
        raise ConfigError(f"--out {out}: expected a name that ends in .parquet; rename it")
    inputs = (arguments.bars, arguments.spans, arguments.windows)
    require_place("--out", out, inputs)
    lines: list[str] = []
    if arguments.windows is not None:
        table = read_columns(arguments.windows)
    else:
        table, lines = _cut(arguments)
    if arguments.corrections is not None:
        corrections = read_corrections(arguments.corrections)
        table, said = apply_corrections(table, corrections, str(arguments.corrections))
        lines.append(said)
    if not table.num_rows:
        where = arguments.windows or arguments.spans
        raise DataError(
            f"{where}: no window, expected at least 1: {'; '.join(lines)};"
            " fix the spans that were left out, or choose a shorter --length"
        )
    with replacing(out) as aside:
        pyarrow.parquet.write_table(table, aside)
    print("\n".join([*lines, f"{out}: {table.num_rows:,} windows written"]))


def _cut(arguments: argparse.Namespace) -> tuple[pa.Table, list[str]]:
    """Return the windows around the marked spans, and what to report of them."""
    import numpy as np

    from moola_core.data.make_windows import Placement, make_windows
    from moola_core.data.series import Bars
    from moola_core.data.span_lists import LABELS
    from moola_core.data.spans_file import read_spans
    from moola_core.data.times import Clock
    from moola_core.data.windows_report import summarise

    least, most = MIN_WINDOW_BARS, MAX_WINDOW_BARS
    if not least <= arguments.length <= most:
        raise ConfigError(
            f"--length: expected {least}..{most:,} bars a window, got {arguments.length};"
            " choose one of them"
        )
    if not 0 <= arguments.margin < arguments.length // 2:
        raise ConfigError(
            f"--margin: expected 0..{arguments.length // 2 - 1} bars, less than half a window,"
            f" got {arguments.margin}; choose one of them"
        )
    if not 0 <= arguments.negatives <= MAX_NEGATIVES:
        raise ConfigError(
            f"--negatives: expected 0..{MAX_NEGATIVES:,} windows, got {arguments.negatives};"
            " choose one of them"
        )
    file = open_named(arguments.bars, arguments)
    chunks = list(file.chunks())
    times = [chunk.time for chunk in chunks if chunk.time is not None]
    prices = np.concatenate([chunk.prices for chunk in chunks])
    bars = Bars(prices, np.concatenate(times) if times else None)
    # Bars of two offsets do not say which zone clocks show: -05:00 and -04:00 may be New York.
    is_known = arguments.tz is not None or len(file.clock.named) < 2
    zone = file.clock.output_zone if is_known else None
    clock = Clock(str(arguments.spans), zone, None, arguments.fold, arguments.dates)
    stamp = arguments.span_stamp or file.columns.stamp
    options = (arguments.ends, arguments.unit, arguments.label, stamp)
    symbol = arguments.span_symbol or arguments.symbol
    spans, faults = read_spans(arguments.spans, bars, clock, *options, symbol)
    if clock.read_bare and clock.tz is None:
        raise DataError(
            f"{arguments.spans}: times without a zone, expected one, as the bars are of"
            f" {' and '.join(file.clock.named)}; say which: --tz America/New_York or the like"
        )
    placement = Placement(
        arguments.place,
        arguments.margin,
        tuple(dict.fromkeys(shift for shift in arguments.shifts if shift)),
        arguments.seed,
        arguments.negatives,
        arguments.length,
        arguments.several,
    )
    table, report = make_windows(bars, spans, placement, arguments.spans.name)
    for fault in faults:
        report.leave_out(f"{fault.column}: expected {fault.expected}", fault.row)
    words = table["label"].to_pylist()
    if arguments.several:
        words = [word for row in table[LABELS].to_pylist() for word in row]
    lines = summarise(report, len(spans) + len(faults), words)
    return table, [*lines, *_notes(arguments, clock, stamp, file)]


def _notes(
    arguments: argparse.Namespace, clock: Clock, stamp: Stamp, file: BarFile
) -> Iterator[str]:
    """Yield how times and numbers of spans were read, where the user did not say it."""
    from moola_core.data.spans_file import COUNTED, NUMBERED

    if NUMBERED in clock.units and file.newest_first:
        yield f"bar numbers count from the oldest bar, 0, the last row of {arguments.bars}"
    if clock.read_bare and arguments.tz is None and file.clock.named:
        yield f"times of spans have no zone: read as {clock.tz}, as the bars; else --tz"
    if COUNTED in clock.units and arguments.unit is None:
        yield "spans are placed by time from the first bar's open; bar numbers: --unit bars"
    if stamp == "close" and clock.units - {COUNTED, NUMBERED}:  # it has read a time
        yield "times of spans are those of the bars' closes; else --span-stamp open"


if __name__ == "__main__":
    sys.exit(main())
