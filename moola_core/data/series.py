"""Series of bars from Parquet or CSV: read in chunks, checked to the last bar, refused in one line.

Columns: open, high, low, close, and timestamp (bar open) where there is one; others are passed
over. Rows count from 0, the header of a CSV is none. Letters: T bars.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from moola_core.data.window_checks import Fault
from moola_core.errors import DataError
from moola_core.spans.intervals import BoolArray, FloatArray, IntArray

PRICES = ("open", "high", "low", "close")
TIME = "timestamp"
CHUNK_BARS = 16_384
CSV_BLOCK_BYTES = 1 << 22


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
        """The bars from `bar` on; a negative one counts from the end."""
        return Bars(self.prices[bar:], None if self.time is None else self.time[bar:])

    def then(self, other: Bars) -> Bars:
        """These bars, and `other` of the same series."""
        time = None
        if self.time is not None and other.time is not None:
            time = np.concatenate([self.time, other.time])
        return Bars(np.concatenate([self.prices, other.prices]), time)


def read_bars(path: Path) -> Bars:
    """A whole series; errors as of `read_chunks`."""
    chunks = list(read_chunks(path))
    time = [chunk.time for chunk in chunks if chunk.time is not None]
    prices = np.concatenate([chunk.prices for chunk in chunks])
    return Bars(prices, np.concatenate(time) if time else None)


def read_chunks(path: Path) -> Iterator[Bars]:
    """A series piece by piece, at least one bar each, so that its length costs no memory.

    Raises:
        DataError: the file is missing, of another kind, lacks a column or holds no bar; or a bar
            can't be: no number, not finite, high or low inside its body, time that does not rise.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file, expected bars as Parquet or CSV")
    first_row, last_time = 0, None
    try:
        for table in _tables(path):
            bars = _to_bars(path, table, first_row)
            _check(path, bars, first_row, last_time)
            yield bars
            first_row += len(bars)
            last_time = None if bars.time is None else int(bars.time[-1])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
        raise DataError(f"{path}: not readable, {' '.join(str(err).split())}") from err
    if first_row == 0:
        raise DataError(f"{path}: holds no bar, expected at least 1 row")


def _tables(path: Path) -> Iterator[pa.Table]:
    """Tables of the columns that are there, each with rows."""
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            columns = _columns(path, file.schema_arrow.names)
            for batch in file.iter_batches(CHUNK_BARS, columns=columns):
                batch.validate(full=True)
                yield from [pa.Table.from_batches([batch])] * bool(len(batch))
        return
    if path.suffix != ".csv":
        raise DataError(f"{path}: expected a name that ends in .parquet or .csv")
    # Every value is read as text: a wrong one is then told with its row, not guessed to be a type.
    with path.open(encoding="utf-8", errors="replace") as file:
        header = [name.strip().strip('"') for name in file.readline().split(",")]
    columns = _columns(path, header)
    convert = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()),
        include_columns=columns,
        strings_can_be_null=True,
    )
    read = pa.csv.ReadOptions(
        block_size=CSV_BLOCK_BYTES, column_names=header, skip_rows=1, use_threads=False
    )
    with pa.csv.open_csv(path, read_options=read, convert_options=convert) as reader:
        for batch in reader:
            yield from [pa.Table.from_batches([batch])] * bool(len(batch))


def _columns(path: Path, names: list[str]) -> list[str]:
    missing = [name for name in PRICES if name not in names]
    if missing:
        raise DataError(
            f"{path}: column {missing[0]} is missing, expected {', '.join(PRICES)}"
            f" (and {TIME}, if known), got {', '.join(names)}"
        )
    return [*PRICES, *([TIME] if TIME in names else [])]


def _to_bars(path: Path, table: pa.Table, first_row: int) -> Bars:
    number = pa.float64()
    prices = [_cast(path, table, name, number, first_row).to_numpy() for name in PRICES]
    time = None
    if TIME in table.column_names:
        instant = pa.timestamp("ns", tz=_zone(table))
        time = _cast(path, table, TIME, instant, first_row).cast(pa.int64()).to_numpy()
    return Bars(np.stack(prices, axis=1), time)


def _zone(table: pa.Table) -> str | None:
    """Times are read as they are told: with the column's zone, or the text's, or none."""
    column = table[TIME]
    if pa.types.is_timestamp(column.type):
        return column.type.tz
    first = column[0].as_py()
    has_zone = isinstance(first, str) and (first.endswith("Z") or "+" in first)
    return "UTC" if has_zone else None


def _cast(
    path: Path, table: pa.Table, name: str, kind: pa.DataType, first_row: int
) -> pa.ChunkedArray:
    column = table[name]
    what = "a number" if pa.types.is_floating(kind) else "a time like 2024-01-31 09:30:00"
    is_null = np.asarray(pc.is_null(column).to_numpy(), dtype=bool)
    if is_null.any():
        row = int(np.argmax(is_null)) + first_row
        raise DataError(f"{path}: {Fault(row, name, 'nothing', what)}")
    if name == TIME and pa.types.is_integer(column.type):
        raise DataError(f"{path}: column {TIME}: expected timestamps, got {column.type}")
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        for row, value in enumerate(column):
            _require_castable(
                path, value, kind, Fault(row + first_row, name, repr(value.as_py()), what)
            )
        raise


def _require_castable(path: Path, value: pa.Scalar, kind: pa.DataType, fault: Fault) -> None:
    try:
        value.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as err:
        raise DataError(f"{path}: {fault}") from err


def _check(path: Path, bars: Bars, first_row: int, last_time: int | None) -> None:
    """The first impossible bar of a chunk is an error."""
    opened, high, low, close = bars.prices.T
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    for column, name in zip(bars.prices.T, PRICES, strict=True):
        _refuse(path, ~np.isfinite(column), first_row, name, column, "a finite price")
    _refuse(path, high < top, first_row, "high", high, "at least open and close")
    _refuse(path, low > bottom, first_row, "low", low, "at most open and close")
    if bars.time is not None:
        before = bars.time[0] - 1 if last_time is None else last_time
        falls = np.diff(bars.time, prepend=before) <= 0
        times = bars.time.astype("datetime64[ns]")
        _refuse(path, falls, first_row, TIME, times, "a time after that of the row before")


def _refuse(
    path: Path,
    bad: BoolArray,
    first_row: int,
    name: str,
    values: np.ndarray,
    expected: str,
) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{path}: {Fault(row + first_row, name, str(values[row]), expected)}")
