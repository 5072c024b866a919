"""Series of bars: read in chunks, checked to the last bar, refused in one line.

`open_bars` finds out what a file is and how it is laid out (moola_core.data.layouts); its times and
prices come out in one way: UTC nanoseconds of the bar's open, float64. Rows count from 0, the
header of a text file is none. Letters: T bars.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from moola_core.data.bar_tables import BarTable, open_table, readable
from moola_core.data.column_names import PRICES
from moola_core.data.layout_choice import Columns, choose, require_instruments
from moola_core.data.layouts import Stamp
from moola_core.data.prices import PriceReader
from moola_core.data.time_column import zone_in_name
from moola_core.data.time_limits import require_years, whole_close
from moola_core.data.times import Clock, Dates
from moola_core.data.window_checks import Fault
from moola_core.data.zones import Fold, earlier_by
from moola_core.errors import DataError
from moola_core.spans.intervals import BoolArray, FloatArray, IntArray

TIME = "timestamp"
CHUNK_BARS = 16_384


@dataclass(frozen=True)
class Bars:
    """A stretch of a series.

    Attributes:
        prices: ``(T, 4)`` float64, open, high, low, close.
        time: ``(T,)`` int, nanoseconds since 1970 UTC of each bar's open; None if not known.
    """

    prices: FloatArray
    time: IntArray | None

    def __len__(self) -> int:
        return len(self.prices)

    def after(self, bar: int) -> Bars:
        """Return the bars from `bar` on; a negative one counts from the end."""
        return Bars(self.prices[bar:], None if self.time is None else self.time[bar:])

    def then(self, other: Bars) -> Bars:
        """Return these bars, and `other` of the same series."""
        time = None
        if self.time is not None and other.time is not None:
            time = np.concatenate([self.time, other.time])
        return Bars(np.concatenate([self.prices, other.prices]), time)


@dataclass(frozen=True)
class ReadOptions:
    """What the user says of a file of bars; None: found out.

    Attributes:
        layout: its name in moola_core.data.layouts.
        tz: the zone of times that have none.
        time_column: the column of times.
        stamp: whether times are those of the bars' open or close.
        fold: which of two equal local hours is meant when clocks go back.
        dates: day or month first.
        symbol: which of several instruments in one file.
    """

    layout: str | None = None
    tz: str | None = None
    time_column: str | None = None
    stamp: Stamp | None = None
    fold: Fold | None = None
    dates: Dates | None = None
    symbol: str | None = None


@dataclass(frozen=True)
class BarFile:
    """A file of bars whose layout is known.

    Attributes:
        path: of the file.
        columns: where the bars are in it.
        clock: how its times are read; after `chunks` it knows all units and zones.
        bar_ns: nanoseconds from bar to bar, the most frequent step of the first chunk; None without
            times or with one bar.
        newest_first: the file's order, which `chunks` turns round.
    """

    path: Path
    columns: Columns
    clock: Clock
    bar_ns: int | None
    newest_first: bool
    _table: BarTable
    _prices: PriceReader
    _options: ReadOptions
    _names: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """Return in one line how the file is read."""
        parts = [self.columns.layout.name, self._table.kind, f"{self._table.num_columns} columns"]
        parts.append(self.clock.describe() if self.columns.time else "no times")
        if self.columns.time:
            parts.append(f"stamp = {self.columns.stamp}")
        if self._prices.scale != 1:
            parts.append(f"prices in units of 1e-{math.log10(self._prices.scale):.0f}")
        if self.newest_first:
            parts.append("newest first, turned round")
        if self._options.symbol is not None:
            parts.append(f"symbol {self._options.symbol}")
        return "read as: " + ", ".join(parts)

    def chunks(self, *, check: bool = True) -> Iterator[Bars]:
        """Yield the series piece by piece, at least one bar each: its length costs no memory.

        A series with the newest bar first is held whole, to be turned round.

        Args:
            check: raise for the first bar that can't be; else pass all on.

        Raises:
            DataError: a value is no number or no time, or a bar can't be: not finite, high or low
                inside its body, time that does not rise; or there is no bar.
        """
        last_time, num_bars = None, 0
        with readable(self.path):
            for rows, bars in self._read(may_lack=not check):
                if check:
                    _check(self.path, bars, rows, last_time)
                yield bars
                num_bars += len(bars)
                last_time = None if bars.time is None else int(bars.time[-1])
        if num_bars == 0:
            raise DataError(f"{self.path}: holds no bar, expected at least 1 row; export it again")

    def _read(self, *, may_lack: bool) -> Iterator[tuple[IntArray, Bars]]:
        pieces = _pieces(self.path, self._table, self.columns, self._options.symbol)
        if self.newest_first or (self.clock.fold == "order" and self.clock.tz):
            held = list(pieces)
            if not held:
                return
            rows = np.concatenate([rows for rows, _ in held])
            columns = [
                pa.chunked_array([chunk for column in same for chunk in column.chunks])
                for same in zip(*(columns for _, columns in held), strict=True)
            ]
            if self.newest_first:
                back = pa.array(np.arange(len(rows))[::-1])
                rows, columns = rows[::-1], [column.take(back) for column in columns]
            pieces = iter([(rows, columns)])
        for rows, columns in pieces:
            yield rows, self._to_bars(rows, columns, may_lack=may_lack)

    def _to_bars(self, rows: IntArray, columns: list[pa.ChunkedArray], *, may_lack: bool) -> Bars:
        prices = self._prices.read(columns[:4], rows, may_lack=may_lack)
        if not self.columns.time:
            return Bars(prices, None)
        name = self._names[self.columns.time[0]] or "(no name)"
        time = self.clock.read(columns[4 : 4 + len(self.columns.time)], name, rows)
        if self.columns.stamp == "close":
            time = earlier_by(self.bar_ns or 0, whole_close(time), self.clock.output_zone)
        return Bars(prices, time)


def open_bars(path: Path, options: ReadOptions | None = None) -> BarFile:
    """Find out what a file of bars is, and how it is laid out.

    Raises:
        DataError: it is missing, not readable, lacks a column, holds no bar, or fits two layouts.
        ConfigError: an option names what there is not.
    """
    options = options or ReadOptions()
    table = open_table(path, options.symbol)
    columns = choose(table.head, options.layout, options.time_column)
    require_instruments(table.head, columns, options.symbol)
    if not table.head.rows:
        raise DataError(f"{path}: holds no bar, expected at least 1 row; export it again")
    columns = replace(columns, stamp=options.stamp or columns.stamp)
    names = list(table.head.names or map(str, range(table.num_columns)))
    zone = columns.layout.zone
    if zone is None and options.tz is None and columns.time:
        zone = zone_in_name(str(path), names[columns.time[0]])
    clock = Clock(str(path), options.tz, zone, options.fold, options.dates, day=columns.day)
    prices = PriceReader(table.head, columns, names, table.delimiter)
    file = BarFile(path, columns, clock, None, False, table, prices, options, names)
    return _with_step(file) if columns.time else file


def read_bars(path: Path, options: ReadOptions | None = None) -> Bars:
    """Return a whole series; errors as of `open_bars` and `BarFile.chunks`."""
    chunks = list(open_bars(path, options).chunks())
    time = [chunk.time for chunk in chunks if chunk.time is not None]
    prices = np.concatenate([chunk.prices for chunk in chunks])
    return Bars(prices, np.concatenate(time) if time else None)


def read_chunks(path: Path, options: ReadOptions | None = None) -> Iterator[Bars]:
    """Yield a series piece by piece; errors as of `open_bars` and `BarFile.chunks`."""
    return open_bars(path, options).chunks()


def step_ns(time: IntArray) -> int | None:
    """Return the most frequent step of rising times ``(N,)`` in nanoseconds; None below two.

    Of equally frequent steps it is the shortest.
    """
    steps = np.abs(np.diff(time))
    steps, count = np.unique(steps[steps > 0], return_counts=True)
    return int(steps[np.argmax(count)]) if len(steps) else None


def _with_step(file: BarFile) -> BarFile:
    """Return the same with the order and the length of its bars, by its first chunk."""
    with readable(file.path):
        pieces = _pieces(file.path, file._table, file.columns, file._options.symbol)
        rows, columns = next(pieces, (np.zeros(0, np.int64), []))
        if not len(rows):
            return file
        trial = replace(file.clock, fold=file.clock.fold or "0", units=set(), zones=set())
        name = file._names[file.columns.time[0]] or "(no name)"
        time = trial.read(columns[4 : 4 + len(file.columns.time)], name, rows)
    file.clock.units |= trial.units
    file.clock.zones |= trial.zones
    file.clock.dates, file.clock.clock_digits = trial.dates, trial.clock_digits
    require_years(f"{file.path}: column {name}", time)
    bar_ns = step_ns(time)
    if file.columns.stamp == "close" and bar_ns is None:
        raise DataError(
            f"{file.path}: one bar, stamped at its close, expected 2 or more to know their length;"
            " give more bars, or --stamp open"
        )
    return replace(file, bar_ns=bar_ns, newest_first=len(time) > 1 and bool(time[0] > time[-1]))


def _pieces(
    path: Path, table: BarTable, columns: Columns, symbol: str | None
) -> Iterator[tuple[IntArray, list[pa.ChunkedArray]]]:
    """Row numbers, then the columns of prices and times, of one instrument."""
    wanted = [*columns.prices, *columns.time]
    if columns.symbol is not None:
        wanted.append(columns.symbol)
    first_row, seen = 0, set()
    for read in table.read(wanted, CHUNK_BARS):
        rows, parts = np.arange(first_row, first_row + len(read[0])), read
        first_row += len(rows)
        if columns.symbol is not None:
            *parts, names = parts
            names = names.cast(pa.string())
            seen |= set(names.unique().to_pylist())
            if symbol is not None:
                keep = np.array([name == symbol for name in names.to_pylist()], dtype=bool)
                rows, parts = rows[keep], [part.filter(pa.array(keep)) for part in parts]
            elif len(seen) > 1:
                some = ", ".join(sorted(map(str, seen))[:5])
                raise DataError(
                    f"{path}: bars of {len(seen)} or more instruments ({some}), expected one;"
                    " say which: --symbol NAME"
                )
        if len(rows):
            yield rows, parts
    if symbol is not None and columns.symbol is not None and symbol not in seen:
        some = ", ".join(sorted(map(str, seen))[:5])
        raise DataError(
            f"{path}: --symbol {symbol}: no bar of it, expected one of {some}; name one"
        )


def _check(path: Path, bars: Bars, rows: IntArray, last_time: int | None) -> None:
    """Raise for the first impossible bar of a chunk."""
    opened, high, low, close = bars.prices.T
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    for column, name in zip(bars.prices.T, PRICES, strict=True):
        _refuse(path, ~np.isfinite(column), rows, name, column, "a finite price")
    _refuse(path, high < top, rows, "high", high, "at least open and close")
    _refuse(path, low > bottom, rows, "low", low, "at most open and close")
    if bars.time is not None:
        before = bars.time[0] - 1 if last_time is None else last_time
        falls = np.diff(bars.time, prepend=before) <= 0
        times = bars.time.astype("datetime64[ns]")
        _refuse(path, falls, rows, TIME, times, "a time after that of the row before")


def _refuse(
    path: Path, bad: BoolArray, rows: IntArray, name: str, values: np.ndarray, expected: str
) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{path}: {Fault(int(rows[row]), name, str(values[row]), expected)};"
            " look at all of them with python -m jobs.bars FILE --check"
        )
