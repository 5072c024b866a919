r"""Look at a file of bars, and make one clean Parquet of it.

    python -m jobs.bars klines.csv --check
    python -m jobs.bars export.txt --tz Europe/Berlin --out bars.parquet

In: CSV of any kind, Parquet, Feather or Arrow IPC (docs/data.md has the layouts). --check prints a
table: order, repeats, the bar length, gaps by session, impossible and glitch bars, flat stretches;
exit 0 if the series can be used, 10 if not. --out writes timestamp (UTC), open, high, low, close;
a series that can't be used is refused. --repair fixes it: bars are sorted, repeated and impossible
ones left out; of repeats with different prices the last one is kept.

Several files are joined by their times: python -m jobs.bars klines-2024-*.zip --out all.parquet
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

if TYPE_CHECKING:
    from moola_core.data.series import BarFile, Bars
    from moola_core.data.series_checks import Check


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.bars",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", type=found, nargs="+", help="the series, in one file or several")
    parser.add_argument("--check", action="store_true", help="print the table of checks")
    parser.add_argument("--out", type=output, help="the clean series, .parquet")
    parser.add_argument(
        "--repair",
        "--mend",
        action="store_true",
        help="sort the bars, leave out repeated and impossible ones",
    )
    parser.add_argument(
        "--any-bar-length", action="store_true", help="also join files of other bar lengths"
    )
    parser.add_argument("--calendar", help="an exchange, like XNYS: gaps by its sessions")
    add_bar_options(parser)
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: look(arguments))


def look(arguments: argparse.Namespace) -> None:
    """Read, check, print, write."""
    from moola_core.data.series_checks import JUMPS, check_series, require_one_instrument

    out: Path | None = arguments.out
    if out is not None and out.suffix != ".parquet":
        raise ConfigError(f"--out {out}: expected a name that ends in .parquet; rename it")
    require_place("--out", out, arguments.files)
    bars = _joined(arguments)
    name = _name(arguments.files)
    checks = check_series(bars, arguments.calendar)
    _print_range(name, bars)
    if arguments.check or out is None:
        _print_table(checks)
    else:
        for one in checks:
            if one.name == JUMPS and one.count:
                print(f"{one.name}: {one.count:,}, {one.note}; write all at one scale")
    faults = [one for one in checks if one.is_fault]
    if faults:
        require_one_instrument(name, bars)
    if arguments.repair and out is not None:
        repaired = _repair(bars)
        print(f"left out {len(bars) - len(repaired):,} bars")
        bars, faults = repaired, []
    if faults:
        cure = "; leave such bars out: --repair --out FILE.parquet"
        raise DataError(
            f"{name}: {faults[0].count:,} bars {faults[0].name},"
            f" the first is row {faults[0].row}, expected none{cure}"
        )
    if out is not None:
        _write(out, bars)


def _joined(arguments: argparse.Namespace) -> Bars:
    """Return the bars of all files, those with the earliest first."""
    import numpy as np

    from moola_core.data.series import Bars

    parts, files = [], []
    for path in arguments.files:
        file = open_named(path, arguments)
        chunks = list(file.chunks(check=False))
        files.append(file)
        times = [chunk.time for chunk in chunks if chunk.time is not None]
        prices = np.concatenate([chunk.prices for chunk in chunks])
        parts.append(Bars(prices, np.concatenate(times) if times else None))
        if len(arguments.files) > 1 and not times:
            raise DataError(
                f"{path}: no times, expected some to join files by; name their column:"
                " --time-column"
            )
    if len(parts) == 1:
        return parts[0]
    _require_alike(files, arguments)
    times = [part.time for part in parts if part.time is not None]
    order = sorted(range(len(parts)), key=lambda i: int(times[i].min()))
    prices = np.concatenate([parts[i].prices for i in order])
    return Bars(prices, np.concatenate([times[i] for i in order]))


def _require_alike(files: list[BarFile], arguments: argparse.Namespace) -> None:
    """Refuse to join files of several instruments or bar lengths, or of which some have no zone.

    Raises:
        DataError: they are such.
    """
    from moola_core.data.series_checks import require_length
    from moola_core.data.times import NO_ZONE

    first = files[0]
    for file in files[1:]:
        one, other = file.columns.instrument, first.columns.instrument
        if arguments.symbol is None and None not in (one, other) and one != other:
            raise DataError(
                f"{file.path}: bars of {one}, expected {other}, as {first.path} has; join files of"
                " one instrument, or drop that column"
            )
        if first.bar_ns is not None and not arguments.any_bar_length:
            require_length(str(file.path), file.bar_ns, first.bar_ns, f"{first.path} has")
    bare = [file.path for file in files if NO_ZONE in file.clock.zones]
    zoned = [file.path for file in files if NO_ZONE not in file.clock.zones]
    if bare and zoned:
        raise DataError(
            f"{bare[0]}: times without a zone, expected one, as {zoned[0]} has; say which: --tz"
        )


def _name(files: list[Path]) -> str:
    return str(files[0]) + (f" and {len(files) - 1} more" if len(files) > 1 else "")


def _print_range(name: str, bars: Bars) -> None:
    from moola_core.data.time_limits import in_utc

    line = f"{name}: {len(bars):,} bars"
    if bars.time is not None:
        line += f", {in_utc(bars.time.min())} to {in_utc(bars.time.max())} UTC"
    print(line)


def _print_table(checks: list[Check]) -> None:
    width = max(len(one.name) for one in checks)
    print(f"{'check':>{width}} {'count':>10}")
    for one in checks:
        row = f"row {one.row}" if one.row >= 0 else ""
        mark = "  <- refused" if one.is_fault else ""
        note = ", ".join(part for part in (one.note, row) if part)
        print(f"{one.name:>{width}} {one.count:10,}  {note}{mark}".rstrip())


def _repair(bars: Bars) -> Bars:
    """Without impossible bars, in order, each time once."""
    import numpy as np

    from moola_core.data.series import Bars
    from moola_core.data.series_checks import impossible

    keep = ~impossible(bars)
    prices, time = bars.prices[keep], bars.time
    if not len(prices):
        raise DataError("bars: none is left, expected at least 1 that can be; look at --check")
    if time is None:
        return Bars(prices, None)
    time = time[keep]
    order = np.argsort(time, kind="stable")
    time, prices = time[order], prices[order]
    is_last = np.append(np.diff(time) > 0, True)
    return Bars(prices[is_last], time[is_last])


def _write(out: Path, bars: Bars) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    from moola_core.data.column_names import PRICES
    from moola_core.data.series import step_ns
    from moola_core.io.atomic import replacing

    columns = {name: bars.prices[:, i] for i, name in enumerate(PRICES)}
    table = pa.table(columns)
    if bars.time is not None:
        time = pa.array(bars.time, pa.timestamp("ns", tz="UTC"))
        table = table.add_column(0, "timestamp", time)
        step = step_ns(bars.time)
        if step is not None:
            table = table.replace_schema_metadata({"moola.bar_ns": str(step)})
    with replacing(out) as aside:
        pa.parquet.write_table(table, aside)
    print(f"{out}: {len(bars):,} bars written")


if __name__ == "__main__":
    sys.exit(main())
