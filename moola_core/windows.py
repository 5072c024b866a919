"""Labelled windows: read from Parquet, checked to the last bar, refused with one line.

Letters: B windows, T = 105 bars a window. Columns on disk: MODEL.md, section 1.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from moola_core.errors import DataError
from moola_core.spans import WINDOW_BARS, BoolArray, FloatArray, IntArray, from_inclusive

LABELS = ("consolidation", "retracement")
REQUIRED = (
    "window_id",
    "base_window_id",
    "offset",
    "features",
    "label",
    "expansion_start",
    "expansion_end",
    "overlap_fraction",
    "source",
    "quality",
)
_TEXT = ("window_id", "base_window_id", "label", "source", "quality")
_WHOLE = ("offset", "expansion_start", "expansion_end")
NANOSECONDS_A_BAR = 60_000_000_000


@dataclass(frozen=True)
class Windows:
    """Labelled windows as arrays; row i of each belongs to window i.

    Attributes:
        window_id: ``(B,)`` str, each once.
        group: ``(B,)`` int, equal for windows of one physical span (or of one base window).
        bars: ``(B, T, 4)`` float64, open, high, low, close in price units.
        spans: ``(B, 2)`` int, the expansion ``[start, stop)``.
        types: ``(B,)`` int, an index into `LABELS`.
        overlap_fraction: ``(B,)`` float64 in (0, 1].
        start_time: ``(B,)`` int, nanoseconds since 1970 UTC of the first bar; -1 where unknown.
        offset: ``(B,)`` int, bars by which the window is shifted from its base window.
    """

    window_id: np.ndarray[Any, Any]
    group: IntArray
    bars: FloatArray
    spans: IntArray
    types: IntArray
    overlap_fraction: FloatArray
    start_time: IntArray
    offset: IntArray

    def __len__(self) -> int:
        return len(self.window_id)

    def take(self, rows: IntArray | BoolArray) -> Windows:
        """The windows at `rows`, in that order."""
        return Windows(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class Fault:
    """What is wrong with one row: its column, the value, what was expected."""

    row: int
    column: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: expected {self.expected}, got {self.value}"


def read_windows(path: Path, *, skip_bad: bool = False) -> tuple[Windows, list[Fault]]:
    """Read and check a file of labelled windows.

    Physical spans come from ``span_ids.parquet`` beside `path` if it lists every window; otherwise
    windows of one base window are one group.

    Args:
        path: the Parquet file.
        skip_bad: leave rows with a fault out instead of refusing the file.

    Returns:
        The windows, and the first fault of each row that was left out.

    Raises:
        DataError: the file is missing or no Parquet, lacks a column, has a faulty row (unless
            `skip_bad`), or no row is left.
    """
    table = _read_table(path)
    _check_columns(path, table)
    faults = _first_of_each_row(_row_faults(table))
    if faults and not skip_bad:
        more = f" (and {len(faults) - 1} more rows)" if len(faults) > 1 else ""
        raise DataError(
            f"{path}: {faults[0]}{more}; mend the file, or leave such rows out: --skip-bad"
        )
    keep = np.ones(table.num_rows, dtype=bool)
    keep[[fault.row for fault in faults]] = False
    if not keep.any():
        raise DataError(f"{path}: no window left, expected at least 1 good row of {table.num_rows}")
    good = table.filter(pa.array(keep))
    try:
        return _to_windows(good, _read_groups(path, good)), faults
    except pa.ArrowInvalid as err:
        raise DataError(
            f"{path}: column start_timestamp: expected times of nanoseconds,"
            f" {' '.join(str(err).split())}"
        ) from err


def summarise_faults(faults: list[Fault]) -> str:
    """One line: how many rows were left out, and for what."""
    reasons = Counter(f"{fault.column}: expected {fault.expected}" for fault in faults)
    return f"left out {len(faults)} rows: " + "; ".join(
        f"{n} x {why}" for why, n in reasons.most_common()
    )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _read_table(path: Path) -> pa.Table:
    if not path.is_file():
        raise DataError(f"{path}: no such file, expected Parquet with labelled windows; set --data")
    try:
        table = pq.read_table(path)
        table.validate(full=True)  # text that is none, lists that lead outside their values
        _ = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
        raise DataError(f"{path}: not readable as Parquet, {' '.join(str(err).split())}") from err
    return table


def _check_columns(path: Path, table: pa.Table) -> None:
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise DataError(
            f"{path}: column {missing[0]} is missing, expected {', '.join(REQUIRED)},"
            f" got {', '.join(table.column_names)}"
        )
    for name, expected in _expected_types(table):
        raise DataError(
            f"{path}: column {name}: expected {expected}, got {table.schema.field(name).type}"
        )


def _expected_types(table: pa.Table) -> Iterator[tuple[str, str]]:
    types = {name: table.schema.field(name).type for name in table.column_names}
    for name in _TEXT:
        if not (pa.types.is_string(types[name]) or pa.types.is_large_string(types[name])):
            yield name, "string"
    for name in _WHOLE:
        if not pa.types.is_integer(types[name]):
            yield name, "integers"
    if not pa.types.is_floating(types["overlap_fraction"]):
        yield "overlap_fraction", "floats"
    if not _is_list_of_float_lists(types["features"]):
        yield "features", "lists of lists of floats"
    if "start_timestamp" in types and not pa.types.is_timestamp(types["start_timestamp"]):
        yield "start_timestamp", "timestamps"


def _is_list_of_float_lists(kind: pa.DataType) -> bool:
    def is_list(kind: pa.DataType) -> bool:
        return pa.types.is_list(kind) or pa.types.is_large_list(kind)

    return (
        is_list(kind)
        and is_list(kind.value_type)
        and pa.types.is_floating(kind.value_type.value_type)
    )


def _first_of_each_row(faults: Iterator[Fault]) -> list[Fault]:
    first: dict[int, Fault] = {}
    for fault in faults:
        first.setdefault(fault.row, fault)
    return [first[row] for row in sorted(first)]


def _row_faults(table: pa.Table) -> Iterator[Fault]:
    """Faults of each row, the cause before its consequences."""
    present = [*REQUIRED, *(["start_timestamp"] if "start_timestamp" in table.column_names else [])]
    for name in present:
        for empty in np.flatnonzero(_is_null(table[name])):
            yield Fault(int(empty), name, "null", "a value")
    yield from _repeated_ids(table["window_id"].to_pylist())
    for row, label in enumerate(table["label"].to_pylist()):
        if label not in LABELS:
            yield Fault(row, "label", repr(label), " or ".join(LABELS))
    yield from _span_faults(table)
    fraction = table["overlap_fraction"].to_numpy().astype(np.float64)
    for wrong in np.flatnonzero(~((fraction > 0) & (fraction <= 1))):
        yield Fault(int(wrong), "overlap_fraction", f"{fraction[wrong]:g}", "a share in (0, 1]")
    yield from _bar_faults(table["features"].combine_chunks())


def _is_null(column: pa.ChunkedArray) -> BoolArray:
    return np.asarray(pc.is_null(column).to_numpy(), dtype=bool)


def _repeated_ids(ids: list[str | None]) -> Iterator[Fault]:
    seen: set[str | None] = set()
    for row, window_id in enumerate(ids):
        if window_id in seen:
            yield Fault(row, "window_id", repr(window_id), "each id once")
        seen.add(window_id)


def _span_faults(table: pa.Table) -> Iterator[Fault]:
    first = np.asarray(pc.fill_null(table["expansion_start"], -1).to_numpy())
    last = np.asarray(pc.fill_null(table["expansion_end"], -1).to_numpy())
    end = WINDOW_BARS - 1
    for row in np.flatnonzero((first < 0) | (first > end)):
        yield Fault(int(row), "expansion_start", str(first[row]), f"a bar in 0..{end}")
    for row in np.flatnonzero((last < 0) | (last > end)):
        yield Fault(int(row), "expansion_end", str(last[row]), f"a bar in 0..{end}")
    for row in np.flatnonzero(last < first):
        expected = f"at least expansion_start ({first[row]})"
        yield Fault(int(row), "expansion_end", str(last[row]), expected)


def _bar_faults(column: pa.Array) -> Iterator[Fault]:
    """Faults of the bars: first the rows of a wrong shape, then impossible values in the others."""
    num_bars = np.asarray(
        pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    )
    right = num_bars == WINDOW_BARS
    for row in np.flatnonzero(~right):
        yield Fault(int(row), "features", f"{num_bars[row]} bars", f"{WINDOW_BARS} bars")
    rows = np.flatnonzero(right)
    bars = pc.list_flatten(column.take(pa.array(rows)))
    width = np.asarray(pc.fill_null(pc.list_value_length(bars), -1).to_numpy(zero_copy_only=False))
    width = width.reshape(len(rows), WINDOW_BARS)
    whole = (width == 4).all(axis=1)
    for index in np.flatnonzero(~whole):
        bar = int(np.argmax(width[index] != 4))
        got = f"{max(width[index, bar], 0)} values in bar {bar}"
        yield Fault(int(rows[index]), "features", got, "4 values a bar")
    rows = rows[whole]
    yield from _price_faults(rows, _to_bars(column.take(pa.array(rows))))


def _price_faults(rows: IntArray, bars: FloatArray) -> Iterator[Fault]:
    finite = np.isfinite(bars)
    for index, bar, value in _first_bad(~finite):
        got = f"{bars[index, bar, value]} in bar {bar}"
        yield Fault(int(rows[index]), "features", got, "finite prices")
    opened, high, low, close = np.moveaxis(bars, 2, 0)
    with np.errstate(invalid="ignore"):
        too_low = high < np.maximum(opened, close)
        too_high = low > np.minimum(opened, close)
    for index, bar, _ in _first_bad(too_low[..., None]):
        got = f"high {high[index, bar]:g} in bar {bar}"
        expected = f"high >= max(open, close) = {max(opened[index, bar], close[index, bar]):g}"
        yield Fault(int(rows[index]), "features", got, expected)
    for index, bar, _ in _first_bad(too_high[..., None]):
        got = f"low {low[index, bar]:g} in bar {bar}"
        expected = f"low <= min(open, close) = {min(opened[index, bar], close[index, bar]):g}"
        yield Fault(int(rows[index]), "features", got, expected)


def _first_bad(bad: BoolArray) -> Iterator[tuple[int, int, int]]:
    for index in np.flatnonzero(bad.any(axis=(1, 2))):
        bar, value = np.unravel_index(int(np.argmax(bad[index])), bad.shape[1:])
        yield int(index), int(bar), int(value)


def _to_bars(column: pa.Array) -> FloatArray:
    values = pc.list_flatten(pc.list_flatten(column))
    flat = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    return flat.reshape(len(column), WINDOW_BARS, 4)


Text = TypeVar("Text", bound=str)


def _to_windows(table: pa.Table, group: IntArray) -> Windows:
    first, last = table["expansion_start"].to_numpy(), table["expansion_end"].to_numpy()
    start_time = np.full(table.num_rows, -1, dtype=np.int64)
    if "start_timestamp" in table.column_names:
        start_time = table["start_timestamp"].cast(_utc(table)).cast(pa.int64()).to_numpy()
    return Windows(
        window_id=np.array(table["window_id"].to_pylist(), dtype=object),
        group=group,
        bars=_to_bars(table["features"].combine_chunks()),
        spans=from_inclusive(first.astype(np.int64), last.astype(np.int64)),
        types=np.array(
            [LABELS.index(label) for label in table["label"].to_pylist()], dtype=np.int64
        ),
        overlap_fraction=table["overlap_fraction"].to_numpy().astype(np.float64),
        start_time=start_time,
        offset=table["offset"].to_numpy().astype(np.int64),
    )


def _utc(table: pa.Table) -> pa.DataType:
    return pa.timestamp("ns", tz=table.schema.field("start_timestamp").type.tz)


def _read_groups(path: Path, table: pa.Table) -> IntArray:
    """``(B,)``: the physical span of each window where it is known, else its base window."""
    ids = table["window_id"].to_pylist()
    beside = path.with_name("span_ids.parquet")
    if beside.is_file():
        known = _span_ids(beside, path.stem)
        if all(window_id in known for window_id in ids):
            return np.array([known[window_id] for window_id in ids], dtype=np.int64)
    names = table["base_window_id"].to_pylist()
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def _span_ids(path: Path, file: str) -> dict[str, int]:
    table = _read_table(path)
    for name in ("file", "window_id", "span_id"):
        if name not in table.column_names:
            raise DataError(f"{path}: column {name} is missing, expected file, window_id, span_id")
    columns = (table[name].to_pylist() for name in ("file", "window_id", "span_id"))
    return {window: span for of_file, window, span in zip(*columns, strict=True) if of_file == file}
