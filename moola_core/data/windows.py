"""Labelled windows: read from Parquet, checked to the last bar, refused with one line.

Letters: B windows, T bars a window, the same in all of a file. Columns on disk: docs/data.md.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from moola_core.data.span_lists import LABELS as LABEL_LISTS
from moola_core.data.span_lists import padded_spans
from moola_core.data.window_checks import (
    LABELS,
    Fault,
    first_of_each_row,
    marks_none,
    row_faults,
    to_bars,
    window_bars,
)
from moola_core.data.window_columns import BAR_NS, cast_columns
from moola_core.errors import DataError
from moola_core.spans.intervals import (
    BoolArray,
    FloatArray,
    IntArray,
    from_inclusive,
    sets_mask,
)

NANOSECONDS_A_BAR = 60_000_000_000


@dataclass(frozen=True)
class Windows:
    """Labelled windows as arrays; row i of each belongs to window i.

    Attributes:
        window_id: ``(B,)`` str, each once.
        group: ``(B,)`` int, equal for windows of one physical span (or of one base window).
        bars: ``(B, T, 4)`` float64, open, high, low, close in price units.
        spans: ``(B, 2)`` int, the expansion ``[start, stop)``; ``[0, 0)`` where there is none.
        types: ``(B,)`` int, an index into `labels`; -1 where there is no span.
        overlap_fraction: ``(B,)`` float64 in (0, 1].
        start_time: ``(B,)`` int, nanoseconds since 1970 UTC of the first bar; -1 where unknown.
        offset: ``(B,)`` int, bars by which the window is shifted from its base window.
        labels: the words for the types, of the whole file.
        bar_ns: nanoseconds from bar to bar.
        several: ``(B, M, 2)`` int, every span by its start, ``[0, 0)`` after the last; one of them
            is that of `spans`. None where no window has more than one.
        several_types: ``(B, M)`` int, -1 after the last; None as `several`.
    """

    window_id: np.ndarray[Any, Any]
    group: IntArray
    bars: FloatArray
    spans: IntArray
    types: IntArray
    overlap_fraction: FloatArray
    start_time: IntArray
    offset: IntArray
    labels: tuple[str, ...] = LABELS
    bar_ns: int = NANOSECONDS_A_BAR
    several: IntArray | None = None
    several_types: IntArray | None = None

    def __len__(self) -> int:
        return len(self.window_id)

    @property
    def num_bars(self) -> int:
        """T."""
        return int(self.bars.shape[1])

    @property
    def has_span(self) -> BoolArray:
        """``(B,)``."""
        return self.spans[:, 1] > self.spans[:, 0]

    @property
    def sets(self) -> IntArray:
        """``(B, M, 2)``: every span of a window, as in `several`."""
        return self.spans[:, None] if self.several is None else self.several

    @property
    def set_types(self) -> IntArray:
        """``(B, M)``: the types of `sets`."""
        return self.types[:, None] if self.several_types is None else self.several_types

    @property
    def inside(self) -> BoolArray:
        """``(B, T)``: True inside a span."""
        return sets_mask(self.sets, self.num_bars)

    def take(self, rows: IntArray | BoolArray) -> Windows:
        """Return the windows at `rows`, numbers ``(N,)`` in that order or a mask of all."""
        parts = {name: getattr(self, name) for name in ROW_FIELDS}
        parts = {name: part if part is None else part[rows] for name, part in parts.items()}
        return replace(self, **parts)

    def with_labels(self, labels: tuple[str, ...], where: str) -> Windows:
        """Return the same with types that count in `labels`, for example those of a trained model.

        Raises:
            DataError: a window has a label that is not among them; `where` is its file.
        """
        if labels == self.labels:
            return self
        unknown = [word for word in self.labels if word not in labels]
        used = {self.labels[kind] for kind in np.unique(self.set_types) if kind >= 0}
        wrong = [word for word in unknown if word in used]
        if wrong:
            raise DataError(
                f"{where}: column label: expected {' or '.join(labels)}, got {wrong[0]!r};"
                " rename it, or train a model with it"
            )
        place = np.array([labels.index(w) if w in labels else -1 for w in self.labels])

        def moved(types: IntArray) -> IntArray:
            return np.where(types < 0, -1, place[types]).astype(np.int64)

        several = None if self.several_types is None else moved(self.several_types)
        return replace(self, types=moved(self.types), several_types=several, labels=labels)


ROW_FIELDS = tuple(f.name for f in fields(Windows) if f.name not in ("labels", "bar_ns"))


def read_windows(
    path: Path, *, skip_bad: bool = False, keep_none: bool = False
) -> tuple[Windows, list[Fault]]:
    """Read and check a file of labelled windows.

    Windows without a span are passed over, and named as faults that refuse nothing, unless they
    are kept.
    Physical spans come from ``span_ids.parquet`` beside `path` if it lists every window; otherwise
    windows of one base window are one group.

    Args:
        path: the Parquet file.
        skip_bad: leave rows with a fault out instead of refusing the file.
        keep_none: return windows without a span, too.

    Returns:
        The windows, and the first fault of each row that was left out.

    Raises:
        DataError: the file is missing or no Parquet, lacks a column, has a faulty row (unless
            `skip_bad`), or no row with a span is left.
    """
    table = read_columns(path)
    faults = first_of_each_row(row_faults(table))
    if faults and not skip_bad:
        more = f" (and {len(faults) - 1} more rows)" if len(faults) > 1 else ""
        raise DataError(
            f"{path}: {faults[0]}{more}; fix the file, or leave such rows out: --skip-bad"
        )
    keep = np.ones(table.num_rows, dtype=bool)
    keep[[fault.row for fault in faults]] = False
    negatives = np.flatnonzero(marks_none(table) & keep)
    if keep_none:
        negatives = negatives[:0]
    keep[negatives] = False
    good = table.filter(pa.array(keep))
    if marks_none(good).all():
        raise DataError(
            f"{path}: no window left, expected at least 1 good row of {table.num_rows} with a span;"
            " mark one, or make the file again: jobs.windows"
        )
    try:
        return _to_windows(good, _read_groups(path, good)), [*faults, *map(_negative, negatives)]
    except pa.ArrowInvalid as err:
        raise DataError(
            f"{path}: column start_timestamp: expected times of nanoseconds,"
            f" {' '.join(str(err).split())}; cast it"
        ) from err


def _negative(row: np.int64) -> Fault:
    return Fault(int(row), "expansion_start", "null", "a span; windows without are passed over")


def read_columns(path: Path) -> pa.Table:
    """Return the columns of a file of labelled windows, as stored, before any check of a row.

    Raises:
        DataError: the file is missing or no Parquet, lacks a column, or one can't be cast.
    """
    return cast_columns(path, _read_table(path))


def _read_table(path: Path) -> pa.Table:
    if not path.is_file():
        raise DataError(f"{path}: no such file, expected Parquet with labelled windows; set --data")
    try:
        with pq.ParquetFile(path) as file:  # unlike read_table takes a name twice
            table = file.read()
        table.validate(full=True)  # text that is none, lists that lead outside their values
        _ = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
        reason = " ".join(str(err).split())
        raise DataError(
            f"{path}: not readable as Parquet, {reason}, expected a whole file; make it again"
        ) from err
    return table


Text = TypeVar("Text", bound=str)


def _to_windows(table: pa.Table, group: IntArray) -> Windows:
    # no span is [0, 0)
    first = pc.fill_null(table["expansion_start"], 0).to_numpy()
    last = pc.fill_null(table["expansion_end"], -1).to_numpy()
    num_bars = window_bars(table["features"])
    start_time = np.full(table.num_rows, -1, dtype=np.int64)
    if "start_timestamp" in table.column_names:
        start_time = table["start_timestamp"].cast(_utc(table)).cast(pa.int64()).to_numpy()
    words = table["label"].to_pylist()
    every = words
    if LABEL_LISTS in table.column_names:
        every = [*words, *(word for row in table[LABEL_LISTS].to_pylist() for word in row)]
    labels = labels_of([word for word in every if word is not None])
    several, several_types = padded_spans(table, labels) or (None, None)
    return Windows(
        window_id=np.array(table["window_id"].to_pylist(), dtype=object),
        group=group,
        bars=to_bars(table["features"].combine_chunks(), num_bars),
        spans=from_inclusive(first.astype(np.int64), last.astype(np.int64)),
        types=np.array([-1 if word is None else labels.index(word) for word in words], np.int64),
        overlap_fraction=pc.fill_null(table["overlap_fraction"], 1.0).to_numpy().astype(np.float64),
        start_time=start_time,
        offset=table["offset"].to_numpy().astype(np.int64),
        labels=labels,
        bar_ns=_bar_ns(table),
        several=several,
        several_types=several_types,
    )


def labels_of(words: list[str]) -> tuple[str, ...]:
    """Return the words for the types: moola's where a file has no other, else its own, sorted."""
    return LABELS if set(words) <= set(LABELS) else tuple(sorted(set(words)))


def _bar_ns(table: pa.Table) -> int:
    text = (table.schema.metadata or {}).get(BAR_NS, b"")
    return int(text) if text.isdigit() and 0 < int(text) < 1 << 62 else NANOSECONDS_A_BAR


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
            raise DataError(
                f"{path}: column {name} is missing, expected file, window_id, span_id;"
                " add it, or take the file away"
            )
    columns = (table[name].to_pylist() for name in ("file", "window_id", "span_id"))
    return {window: span for of_file, window, span in zip(*columns, strict=True) if of_file == file}
