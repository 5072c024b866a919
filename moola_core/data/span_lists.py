"""Several spans a window: the columns of lists that hold them, cast and checked.

`expansion_starts` and `expansion_ends` are first and **last** bars, `expansion_labels` the types; a
window without a span has empty lists or null. Letters: B windows, M spans of the fullest window.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from moola_core.errors import DataError
from moola_core.spans.intervals import IntArray

STARTS, ENDS, LABELS = LISTS = ("expansion_starts", "expansion_ends", "expansion_labels")
SINGLE = ("expansion_start", "expansion_end", "label")  # the same of one of the spans


def has_lists(path: Path, names: list[str]) -> bool:
    """Return whether a file with columns `names` may hold several spans a window.

    Raises:
        DataError: some of the columns are there, others are not.
    """
    there = [name for name in LISTS if name in names]
    if there and len(there) < len(LISTS):
        missing = next(name for name in LISTS if name not in names)
        raise DataError(
            f"{path}: column {missing} is missing beside {there[0]}, expected {', '.join(LISTS)}"
            " or none of them; add it, or drop the others"
        )
    return bool(there)


def cast_lists(path: Path, table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Return the columns of lists by the spans' starts, and the single ones where they are missing.

    A list that can't be ordered (null inside, another number of entries) is left for `list_faults`.

    Raises:
        DataError: a column is of no lists, or of entries that can't be cast.
    """
    lists = [_cast(path, name, table[name]) for name in LISTS]
    rows = [_ordered(*row) for row in zip(*lists, strict=True)]
    columns = {}
    for i, (name, single) in enumerate(zip(LISTS, SINGLE, strict=True)):
        entry = pa.string() if name == LABELS else pa.int64()
        entries = [row[i] for row in rows]
        columns[name] = pa.chunked_array([pa.array(entries, pa.list_(entry))])
        if single not in table.column_names:
            first = [row[0] if row else None for row in entries]
            columns[single] = pa.chunked_array([pa.array(first, entry)])
    return columns


def _cast(path: Path, name: str, column: pa.ChunkedArray) -> list[list[Any]]:
    """Return the lists; what a writer chose for whole numbers or for text does not matter."""
    expected, kind = "lists of strings" if name == LABELS else "lists of integers", column.type
    try:
        if pa.types.is_null(kind):
            return [[] for _ in range(len(column))]
        if not any(
            is_list(kind)
            for is_list in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        ):
            raise pa.ArrowInvalid("no lists")  # noqa: TRY301 - worded below
        entry = kind.value_type
        is_text = pa.types.is_string(entry) or pa.types.is_large_string(entry)
        is_text |= pa.types.is_string_view(entry) or pa.types.is_dictionary(entry)
        is_number = pa.types.is_integer(entry) or pa.types.is_floating(entry)
        is_number |= pa.types.is_decimal(entry) and entry.scale == 0
        if not (pa.types.is_null(entry) or (is_text if name == LABELS else is_number)):
            raise pa.ArrowInvalid(f"entries of {entry}")  # noqa: TRY301
        target = pa.string() if name == LABELS else pa.int64()
        return [row or [] for row in column.cast(pa.list_(target)).to_pylist()]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as err:
        reason = " ".join(str(err).split())[:150]
        raise DataError(
            f"{path}: column {name}: expected {expected}, got {kind} ({reason}); cast it"
        ) from err


def _ordered(starts: list[Any], ends: list[Any], labels: list[Any]) -> tuple[list[Any], ...]:
    if not len(starts) == len(ends) == len(labels) or None in (*starts, *ends, *labels):
        return starts, ends, labels
    order = sorted(range(len(starts)), key=lambda i: (starts[i], ends[i]))
    return tuple([one[i] for i in order] for one in (starts, ends, labels))


def list_faults(table: pa.Table, num_bars: int) -> Iterator[tuple[int, str, str, str]]:
    """Yield what is wrong with the lists of a row: its number, column, value, what was expected."""
    rows = zip(*(table[name].to_pylist() for name in (*LISTS, *SINGLE)), strict=True)
    for row, (starts, ends, labels, *single) in enumerate(rows):
        wrong = _fault(starts, ends, labels, num_bars)
        if wrong is None and tuple(single) not in {
            *zip(starts, ends, labels, strict=True),
            *([(None, None, None)] if not starts else []),
        }:
            spans = ", ".join(f"{a} to {b}" for a, b in zip(starts, ends, strict=True)) or "none"
            value = "null" if single[0] is None else f"{single[0]} to {single[1]}, {single[2]!r}"
            wrong = SINGLE[0], value, f"one of {STARTS} and {ENDS} with its label ({spans})"
        if wrong is not None:
            yield row, *wrong


def _fault(
    starts: list[Any], ends: list[Any], labels: list[Any], num_bars: int
) -> tuple[str, str, str] | None:
    for name, entries in zip(LISTS, (starts, ends, labels), strict=True):
        if len(entries) != len(starts):
            return name, str(len(entries)), f"{len(starts)} entries, as {STARTS} has"
        if None in entries:
            return name, "null in the list", "a value each"
    for start, end, label in zip(starts, ends, labels, strict=True):
        if not 0 <= start < num_bars:
            return STARTS, str(start), f"bars in 0..{num_bars - 1}"
        if not start <= end < num_bars:
            return ENDS, f"{end} of the span from {start}", f"a bar in {start}..{num_bars - 1}"
        if not label.strip():
            return LABELS, repr(label), "words for types"
    for i in range(1, len(starts)):
        if starts[i] <= ends[i - 1]:
            value = f"{starts[i]} after a span of {starts[i - 1]} to {ends[i - 1]}"
            return STARTS, value, "spans that share no bar"
    return None


def padded_spans(table: pa.Table, labels: tuple[str, ...]) -> tuple[IntArray, IntArray] | None:
    """Return every window's spans and types, or None where none holds more than one.

    Args:
        table: of rows without a fault.
        labels: the words that types count in.

    Returns:
        ``(B, M, 2)`` half-open, ``[0, 0)`` after the last; ``(B, M)``, -1 after the last.
    """
    if STARTS not in table.column_names:
        return None
    starts, ends, words = (table[name].to_pylist() for name in LISTS)
    most = max(map(len, starts), default=0)
    if most < 2:
        return None
    spans = np.zeros((len(starts), most, 2), dtype=np.int64)
    types = np.full((len(starts), most), -1, dtype=np.int64)
    for row, (first, last, word) in enumerate(zip(starts, ends, words, strict=True)):
        spans[row, : len(first), 0] = first
        spans[row, : len(first), 1] = np.asarray(last, dtype=np.int64) + 1
        types[row, : len(first)] = [labels.index(one) for one in word]
    return spans, types
