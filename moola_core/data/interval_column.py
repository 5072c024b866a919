"""Intervals in one column, ``[09:30, 09:45)``: pandas writes them as text or an extension type.

Brackets say whether the ends are inside. ``[a, b]`` may be a list as well, whose end is not said;
nor is that of ``10-15`` and ``09:30 to 09:45``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from moola_core.data.bar_tables import extension_of
from moola_core.data.span_days import DAYS
from moola_core.data.span_lengths import unit_of_word
from moola_core.data.table_head import is_number, is_time_of_day, looks_like_date, normalise
from moola_core.data.window_checks import Fault
from moola_core.errors import DataError

_TEXT = re.compile(r"\s*([\[(])([^,\[\]()]+),([^,\[\]()]+)([\])])\s*")
_BARS = re.compile(r"\[\s*(\d+)\s+(\d+)\s*\]|(?:range|slice)\((\d+), (\d+)(?:, (?:None|1))?\)")
# Between ends without brackets; a hyphen and a slash are within days as well.
_BETWEEN = re.compile(r"\s*(?:\.{2,3}|…|[-=]>|→|~|\u2013|\u2014)\s*|\s+(?:-|to|until)\s+")
_OF_DAYS = re.compile(r"\s*/\s*|(?<=\d)-(?=\d{4}-\d\d-\d\d)")
_OF_NUMBERS, _OF_CLOCKS = re.compile(r"[-:]"), re.compile("-")
_DAY = re.compile(r"(.*\d[T ]\s*)\d{1,2}:\d\d")  # before its clock
# What a column is named whose 10-15 are the ends of a span, and neither a code nor a clock.
_OF_SPANS = re.compile(
    r"span|interval|range|bars|slice|segment|period|window|(start|begin|from)[^a-z]?(end|stop|to)"
    r"|ind(ex|ices)|rows|candles|samples|frames"
)
BRACKETS = {"left": "[)", "right": "(]", "both": "[]", "neither": "()"}  # pandas' closed
_CLOSED = re.compile(rb'"closed": "(\w+)"')
ENDS = (("left", "right"), ("start", "end"), ("start", "stop"), ("begin", "end"), ("from", "to"))
_BEHIND = re.compile(r"\s*[(\[][^)\]]+[)\]]\s*$")  # a zone or a unit behind a name
CURE = "write the ends in columns start and end"


def split_intervals(path: Path, table: pa.Table, *, are_bars: bool) -> tuple[pa.Table, str]:
    """Return the table with starts and ends for its column of intervals; and their brackets.

    The brackets are empty where there is no such column, or where it does not say them.

    Args:
        path: of the table.
        table: without an end of its own.
        are_bars: it may have labels per bar, whose ``0-100`` of a window is not the bar's.

    Raises:
        DataError: there are two such columns, or brackets that differ or may be of a pair.
    """
    found = [i for i in range(table.num_columns) if _is_interval(table, i)]
    if not found:
        return _split_bare(path, table, are_bars=are_bars), ""
    names = [table.column_names[i] or "(no name)" for i in found]
    if len(found) > 1:
        raise DataError(
            f"{path}: columns {', '.join(names)}: intervals, expected them in one; drop the others"
        )
    at, field = found[0], table.schema.field(found[0])
    if pa.types.is_struct(_storage(field.type)):
        brackets, (starts, stops) = _of_struct(table, at)
    else:
        brackets, (starts, stops) = _of_text(path, names[0], table.column(at))
    behind = _suffix(field.name)
    table = table.set_column(at, f"start{behind}", starts)
    return table.add_column(at + 1, f"end{behind}", stops), brackets


def interval_text(value: Any, name: str = "") -> str | None:
    """Return a value of JSON as an interval in text: so itself, as a list or as an object, or None.

    Args:
        value: of a row.
        name: its key.
    """
    if isinstance(value, str):
        return value if _is_text(value) or _bare_ends(value, name) else None
    if isinstance(value, list):
        text = f"[{', '.join(map(str, value))}]"
        return text if _is_text(text) else None
    names = {normalise(name): name for name in value} if isinstance(value, dict) else {}
    ends = _ends_among(names)
    if ends is None:
        return None
    about = BRACKETS.get(str(value.get("closed")), "[]")
    return f"{about[0]}{value[ends[0]]}, {value[ends[1]]}{about[1]}"


def _split_bare(path: Path, table: pa.Table, *, are_bars: bool) -> pa.Table:
    """Return the table with starts and ends for its first column of ``10-15`` and the like."""
    has_days = bool(set(map(normalise, table.column_names)) & set(DAYS))
    for at, name in enumerate(table.column_names):
        texts = table.column(at).to_pylist()
        first = next(filter(None, texts), None)
        found = _bare_ends(first, name) if isinstance(first, str) else None
        if found is None:
            continue
        is_time = looks_like_date(found[0]) or (has_days and is_time_of_day(found[0]))
        if are_bars and not is_time:
            continue
        pairs = [_bare_ends(text, name) if text else (None, None) for text in texts]
        if None in pairs:
            row = pairs.index(None)
            fault = Fault(row, name, repr(texts[row]), f"two ends, as in {first!r}")
            raise DataError(f"{path}: {fault}; {CURE}")
        for behind, ends in enumerate(zip(*filter(None, pairs), strict=True)):
            column = pa.array(ends, pa.string())
            given = f"{('start', 'end')[behind]}{_suffix(name)}"
            table = (table.add_column if behind else table.set_column)(at + behind, given, column)
        return table
    return table


def _bare_ends(text: str, name: str) -> tuple[str, str] | None:
    """Return the ends in ``10-15``, ``[10 15]``, ``slice(10, 15)``, ``09:30 to 09:45``; or None.

    Args:
        text: of a cell.
        name: of its column; of one that does not speak of spans days alone are ends.
    """
    text = text.strip()
    bars = _BARS.fullmatch(text)
    if bars:
        return bars[1] or bars[3], bars[2] or bars[4]
    start, *others = _BETWEEN.split(text)
    day = _DAY.match(start)
    if len(others) == 1 and day and looks_like_date(start) and is_time_of_day(others[0]):
        return start, day[1] + others[0]
    kinds = [(_BETWEEN, looks_like_date), (_OF_DAYS, looks_like_date)]
    if _OF_SPANS.search(normalise(name)):
        kinds += [(_BETWEEN, is_number), (_OF_NUMBERS, is_number)]
        kinds += [(_BETWEEN, is_time_of_day), (_OF_CLOCKS, is_time_of_day)]
    for between, is_end in kinds:
        ends = between.split(text)
        if len(ends) == 2 and all(map(is_end, ends)):
            return ends[0], ends[1]
    return None


def _is_text(text: str) -> bool:
    match = _TEXT.fullmatch(text)
    return match is not None and all(map(_is_place, match.group(2, 3)))


def _is_interval(table: pa.Table, at: int) -> bool:
    kind = _storage(table.schema.field(at).type)
    if pa.types.is_struct(kind):
        return _ends_of(kind) is not None
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    texts = (text for text in table.column(at).to_pylist() if text)
    return _is_text(next(texts, ""))


def _is_place(text: str) -> bool:
    return is_number(text) or looks_like_date(text)


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _ends_of(kind: pa.StructType) -> tuple[str, str] | None:
    """Return the names of the fields of a struct that are its ends."""
    return _ends_among({normalise(field.name): field.name for field in kind})


def _ends_among(names: dict[str, str]) -> tuple[str, str] | None:
    return next(((names[a], names[b]) for a, b in ENDS if a in names and b in names), None)


def _of_struct(table: pa.Table, at: int) -> tuple[str, tuple[pa.ChunkedArray, pa.ChunkedArray]]:
    """Return brackets and ends of pandas' extension type, whether it is loaded or not."""
    field, column = table.schema.field(at), table.column(at)
    _, said = extension_of(field)
    if isinstance(field.type, pa.BaseExtensionType):
        column = pa.chunked_array([part.storage for part in column.chunks], field.type.storage_type)
    ends = _ends_of(column.type)
    assert ends is not None
    first, last = (pc.struct_field(column, name) for name in ends)
    found = _CLOSED.search(said) or _noted_by_pandas(table.schema, field.name)
    return BRACKETS.get(found[1].decode() if found else "", ""), (first, last)


def _noted_by_pandas(schema: pa.Schema, name: str) -> re.Match[bytes] | None:
    """Return the same as pandas notes it of a file: Parquet drops the type of whole seconds."""
    column = rb'"field_name": ' + re.escape(json.dumps(name).encode())
    kind = rb'[^}]*"numpy_type": "interval\[[^"]*, (\w+)\]"'
    return re.search(column + kind, (schema.metadata or {}).get(b"pandas", b""))


def _of_text(
    path: Path, name: str, column: pa.ChunkedArray
) -> tuple[str, tuple[pa.ChunkedArray, pa.ChunkedArray]]:
    texts = column.to_pylist()
    matches = [_TEXT.fullmatch(text) if text else None for text in texts]
    brackets = next(one[1] + one[4] for one in matches if one)
    if brackets == "()":
        raise DataError(
            f"{path}: column {name}: {next(filter(None, texts))!r} may be a pair or an interval"
            f" without its ends, expected [a, b) or (a, b]; {CURE}"
        )
    for row, (text, match) in enumerate(zip(texts, matches, strict=True)):
        if text and (match is None or match[1] + match[4] != brackets):
            expected = f"an interval like {brackets[0]}a, b{brackets[1]}, as above"
            raise DataError(f"{path}: {Fault(row, name, repr(text), expected)}; {CURE}")
    starts, stops = ([one and one[i].strip() for one in matches] for i in (2, 3))
    columns = [pa.chunked_array([pa.array(part, pa.string())]) for part in (starts, stops)]
    return ("" if brackets == "[]" else brackets), (columns[0], columns[1])


def _suffix(name: str) -> str:
    """Return what a name says behind itself of zone or unit, as in ``interval_ms``."""
    behind = _BEHIND.search(name)
    if behind is not None:
        return behind[0]
    word = re.split(r"[_\s]", name)[-1].lower()
    return f"_{word}" if unit_of_word(word) is not None and word != name.lower() else ""
