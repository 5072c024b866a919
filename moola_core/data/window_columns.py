"""Columns of labelled windows: those that must be there, those that may, and their types.

What a writer chose to hold a column in does not matter: unsigned, decimal, categorical and fixed
size are cast. What is lost in a cast (3.5 as a bar) is refused by name.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from moola_core.data.span_lists import LISTS, SINGLE, cast_lists, has_lists
from moola_core.data.times import Clock
from moola_core.errors import DataError

REQUIRED = ("features", "label", "expansion_start", "expansion_end")
OPTIONAL = ("window_id", "base_window_id", "offset", "overlap_fraction", "source", "quality")
TIME = "start_timestamp"
BAR_NS = b"moola.bar_ns"  # the Parquet key of nanoseconds from bar to bar
_TEXT = ("window_id", "base_window_id", "label", "source", "quality")
_WHOLE = ("offset", "expansion_start", "expansion_end")


def cast_columns(path: Path, table: pa.Table) -> pa.Table:
    """Return the columns that are known, each in its own type, the optional ones filled in.

    Raises:
        DataError: a column is missing, there twice, or of a type that can't be cast.
    """
    known = (*REQUIRED, *LISTS, *OPTIONAL, TIME)
    count = Counter(table.column_names)
    for name in known:
        if count[name] > 1:
            raise DataError(
                f"{path}: column {name} is there {count[name]} times, expected it once;"
                " drop or rename the others"
            )
    several = has_lists(path, table.column_names)
    needed = [name for name in REQUIRED if not (several and name in SINGLE)]
    missing = [name for name in needed if name not in count]
    if missing:
        raise DataError(
            f"{path}: column {missing[0]} is missing, expected {', '.join(REQUIRED)}"
            f" (and {', '.join(OPTIONAL)}, if known), got {', '.join(table.column_names)};"
            " rename it, or make the file with jobs.windows"
        )
    columns = {
        name: _cast(path, name, table[name])
        for name in known
        if name in count and name not in LISTS
    }
    if several:
        columns |= cast_lists(path, table)
    rows = [str(row) for row in range(table.num_rows)]
    columns.setdefault("window_id", pa.chunked_array([pa.array(rows, pa.string())]))
    columns.setdefault("base_window_id", columns["window_id"])
    for name, value in (("offset", 0), ("overlap_fraction", 1.0), ("source", ""), ("quality", "")):
        columns.setdefault(name, pa.chunked_array([pa.repeat(value, table.num_rows)]))
    for name in ("source", "quality"):  # notes for people: empty is as good as none
        columns[name] = pc.fill_null(columns[name], "")
    return pa.table(columns, metadata=table.schema.metadata)


def _cast(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if name == TIME and not pa.types.is_timestamp(kind) and not pa.types.is_null(kind):
        count = Clock(str(path)).read([column], name, np.arange(len(column)))
        return pa.chunked_array([pa.array(count, pa.timestamp("ns", tz="UTC"))])
    target, expected = _target(name, kind)
    try:
        if target is None:
            raise pa.ArrowInvalid(f"got {kind}")  # noqa: TRY301 - worded below
        if name == "features" and pa.types.is_null(kind):
            raise pa.ArrowInvalid("got null")  # noqa: TRY301
        if pa.types.is_decimal(kind):
            column = column.cast(pa.float64())
        return column if kind == target else column.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as err:
        reason = " ".join(str(err).split())[:150]
        why = "" if reason.startswith("got ") else f" ({reason})"
        raise DataError(
            f"{path}: column {name}: expected {expected}, got {kind}{why}; cast it"
        ) from err


def _target(name: str, kind: pa.DataType) -> tuple[pa.DataType | None, str]:
    """Return the type to cast to (None: `kind` is of another sort) and what is expected."""
    is_text = (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_null(kind)
    )
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if name in _TEXT:
        is_word = is_text or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        return (pa.string() if is_word else None), "string"
    if name in _WHOLE:
        return (pa.int64() if is_number else None), "integers"
    if name == "overlap_fraction":
        return (pa.float64() if is_number else None), "floats"
    if name == TIME:
        return (kind if pa.types.is_timestamp(kind) else None), "timestamps"
    return _bars_type(kind), "lists of lists of floats"


def _bars_type(kind: pa.DataType) -> pa.DataType | None:
    def is_list(kind: pa.DataType) -> bool:
        return (
            pa.types.is_list(kind)
            or pa.types.is_large_list(kind)
            or pa.types.is_fixed_size_list(kind)
        )

    if not (is_list(kind) and is_list(kind.value_type)):
        return None
    value = kind.value_type.value_type
    if not (
        pa.types.is_floating(value) or pa.types.is_integer(value) or pa.types.is_decimal(value)
    ):
        return None
    if pa.types.is_fixed_size_list(kind) or pa.types.is_fixed_size_list(kind.value_type):
        return pa.list_(pa.list_(pa.float64()))
    return kind if pa.types.is_floating(value) else pa.list_(pa.list_(pa.float64()))
