"""Checks of labelled windows: what is wrong, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from moola_core.data.span_lists import STARTS, list_faults
from moola_core.spans.intervals import (
    MAX_WINDOW_BARS,
    MIN_WINDOW_BARS,
    WINDOW_BARS,
    BoolArray,
    FloatArray,
    IntArray,
)

LABELS = ("consolidation", "retracement")
OF_SPANS = ("expansion_start", "expansion_end", "label", "overlap_fraction")


@dataclass(frozen=True)
class Fault:
    """What is wrong with one row: its column, the value, what was expected."""

    row: int
    column: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: expected {self.expected}, got {self.value}"


def summarise_faults(faults: list[Fault]) -> str:
    """One line: how many rows were left out, and for what."""
    reasons = Counter(f"{fault.column}: expected {fault.expected}" for fault in faults)
    return f"left out {len(faults)} rows: " + "; ".join(
        f"{n} x {why}" for why, n in reasons.most_common()
    )


def first_of_each_row(faults: Iterator[Fault]) -> list[Fault]:
    """Keep the first fault of each row, sorted by row."""
    first: dict[int, Fault] = {}
    for fault in faults:
        first.setdefault(fault.row, fault)
    return [first[row] for row in sorted(first)]


def window_bars(column: pa.ChunkedArray) -> int:
    """Return the number of bars of most windows, of the allowed ones; 105 where none is."""
    count = pc.drop_null(pc.list_value_length(column)).to_numpy()
    count = count[(count >= MIN_WINDOW_BARS) & (count <= MAX_WINDOW_BARS)]
    if not len(count):
        return WINDOW_BARS
    return int(np.bincount(count).argmax())


def marks_none(table: pa.Table) -> BoolArray:
    """``(B,)``: which windows have no span: neither a start nor an end nor a label."""
    empty = [_is_null(table[name]) for name in ("expansion_start", "expansion_end", "label")]
    return np.logical_and.reduce(empty)


def row_faults(table: pa.Table) -> Iterator[Fault]:
    """Faults of each row, the cause before its consequences; what a negative lacks is none."""
    lacks = marks_none(table)
    for fault in _row_faults(table):
        if not (lacks[fault.row] and fault.column in OF_SPANS):
            yield fault


def _row_faults(table: pa.Table) -> Iterator[Fault]:
    num_bars = window_bars(table["features"])
    if STARTS in table.column_names:
        for fault in list_faults(table, num_bars):
            yield Fault(*fault)
    for name in table.column_names:
        for empty in np.flatnonzero(_is_null(table[name])):
            yield Fault(int(empty), name, "null", "a value")
    yield from _repeated_ids(table["window_id"].to_pylist())
    for row, label in enumerate(table["label"].to_pylist()):
        if label is not None and not label.strip():
            yield Fault(row, "label", repr(label), "a word for what went before")
    yield from _span_faults(table, num_bars)
    fraction = pc.cast(table["overlap_fraction"], pa.float64()).to_numpy()
    for wrong in np.flatnonzero(~((fraction > 0) & (fraction <= 1))):
        yield Fault(int(wrong), "overlap_fraction", f"{fraction[wrong]:g}", "a share in (0, 1]")
    yield from _bar_faults(table["features"].combine_chunks(), num_bars)


def _is_null(column: pa.ChunkedArray) -> BoolArray:
    return np.asarray(pc.is_null(column).to_numpy(), dtype=bool)


def _repeated_ids(ids: list[str | None]) -> Iterator[Fault]:
    seen: set[str | None] = set()
    for row, window_id in enumerate(ids):
        if window_id in seen:
            yield Fault(row, "window_id", repr(window_id), "each id once")
        seen.add(window_id)


def _span_faults(table: pa.Table, num_bars: int) -> Iterator[Fault]:
    first = np.asarray(pc.fill_null(table["expansion_start"], -1).to_numpy())
    last = np.asarray(pc.fill_null(table["expansion_end"], -1).to_numpy())
    end = num_bars - 1
    for row in np.flatnonzero((first < 0) | (first > end)):
        yield Fault(int(row), "expansion_start", str(first[row]), f"a bar in 0..{end}")
    for row in np.flatnonzero((last < 0) | (last > end)):
        yield Fault(int(row), "expansion_end", str(last[row]), f"a bar in 0..{end}")
    for row in np.flatnonzero(last < first):
        expected = f"at least expansion_start ({first[row]})"
        yield Fault(int(row), "expansion_end", str(last[row]), expected)


def _bar_faults(column: pa.Array, num_bars: int) -> Iterator[Fault]:
    """Faults of the bars: first the rows of a wrong shape, then impossible values in the others."""
    shown = np.asarray(
        pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    )
    right = shown == num_bars
    for row in np.flatnonzero(~right):
        yield Fault(int(row), "features", f"{shown[row]} bars", f"{num_bars} bars")
    rows = np.flatnonzero(right)
    bars = pc.list_flatten(column.take(pa.array(rows)))
    width = np.asarray(pc.fill_null(pc.list_value_length(bars), -1).to_numpy(zero_copy_only=False))
    width = width.reshape(len(rows), num_bars)
    whole = (width == 4).all(axis=1)
    for index in np.flatnonzero(~whole):
        bar = int(np.argmax(width[index] != 4))
        got = f"{max(width[index, bar], 0)} values in bar {bar}"
        yield Fault(int(rows[index]), "features", got, "4 values a bar")
    rows = rows[whole]
    yield from _price_faults(rows, to_bars(column.take(pa.array(rows)), num_bars))


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


def to_bars(column: pa.Array, num_bars: int) -> FloatArray:
    """Return the column ``features`` as ``(B, T, 4)`` float64."""
    values = pc.list_flatten(pc.list_flatten(column))
    flat = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    return flat.reshape(len(column), num_bars, 4)
