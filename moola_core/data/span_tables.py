"""Files of spans as tools write them: tables, Excel, Label Studio, Audacity, TradingView."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from moola_core.data.bar_labels import PLACES, words_of_bars
from moola_core.data.bar_tables import read_arrow
from moola_core.data.excel_table import is_excel, read_excel
from moola_core.data.packed import open_bytes, text_encoding
from moola_core.data.raw_spans import RawSpans
from moola_core.data.span_columns import of_table
from moola_core.data.span_json import of_json
from moola_core.data.span_lengths import Unit
from moola_core.data.span_names import (
    STARTS,
    STOPS,
    WORDS,
    SpanNames,
    are_names,
    are_values,
)
from moola_core.data.table_head import is_number
from moola_core.data.text_table import wrong_width
from moola_core.errors import DataError

ONE_TYPE = "span"
CURE = "write start,end,label as CSV, as docs/data.md has it for several programs"
EXTERNAL_FORMATS = (("<", "XML or HTML", CURE), ("File type =", "a TextGrid of Praat", CURE))


def read_raw(path: Path, unit: Unit | None, label: str | None = None) -> RawSpans:
    """Find out what a file of spans is, and read it.

    Args:
        path: of the file.
        unit: what numbers count that have none.
        label: the word of spans that have none.

    Raises:
        DataError: it is of no known kind, lacks a column, or holds no span.
    """
    raw = _read(path)
    raw = replace(raw, unit=unit or raw.unit)
    if raw.per_bar is not None:
        return replace(raw, per_bar=words_of_bars(path, raw.per_bar.words, label or ONE_TYPE))
    if raw.words:
        _require_whole_words(path, raw.words)
        return replace(raw, words=[word if word.strip() else label or "" for word in raw.words])
    if raw.others and label is None:
        raise DataError(
            f"{path}: column label is missing, expected one of {', '.join(WORDS[:6])} ...,"
            f" got {', '.join(raw.others)}; rename the one that has the types, or give spans of"
            " one type their word: --label WORD"
        )
    return replace(raw, words=[label or ONE_TYPE] * len(raw.starts))


def _require_whole_words(path: Path, words: list[str]) -> None:
    """Refuse a label with a comment behind it, ``up # strong``, beside the label without one.

    Raises:
        DataError: there is one.
    """
    bare = set(map(str.strip, words))
    for word in bare:
        if " #" in word and word.split(" #")[0].strip() in bare:
            raise DataError(
                f"{path}: label {word!r}: a type of its own, or {word.split(' #')[0].strip()!r} and"
                " a comment? expected no # behind a label; put comments in lines or a column of"
                " their own"
            )


def _read(path: Path) -> RawSpans:
    with path.open("rb") as file:
        start = file.read(16)
    if start[:6] == b"ARROW1" or start[:4] in (b"FEA1", b"\xff\xff\xff\xff"):
        return of_table(path, read_arrow(path, start))
    if path.suffix == ".parquet" or start[:4] == b"PAR1":
        with pq.ParquetFile(path) as file:
            return of_table(path, file.read())
    if is_excel(path):
        return of_table(path, read_excel(path, are_names))
    return _of_text(path, _text(path))


def _text(path: Path) -> str:
    with open_bytes(path) as stream:
        content = stream.read()
    encoding, mark_bytes = text_encoding(content[:200])
    try:
        text = content[mark_bytes:].decode(encoding)
    except UnicodeDecodeError as err:
        if b"\0" not in content:
            raise DataError(
                f"{path}: no UTF-8 at byte {err.start}, expected UTF-8 or UTF-16; in Excel: Save"
                " as > CSV UTF-8"
            ) from err
        text = "\0"
    if "\0" in text:
        raise DataError(f"{path}: no text, expected a table of spans; {CURE}")
    for mark, what, cure in EXTERNAL_FORMATS:
        if text.lstrip().startswith(mark):
            raise DataError(f"{path}: {what}, expected a table of spans; {cure}")
    return text


def _of_text(path: Path, text: str) -> RawSpans:
    if text.lstrip().startswith(("[", "{")):
        return of_json(path, text)
    lines = [line for line in text.splitlines() if line.strip() and line[0] not in "\\#"]
    lines = lines[1:] if lines and lines[0].startswith("sep=") else lines  # for Excel
    delimiter = max(",;|", key=lines[0].count) if lines and "\t" not in lines[0] else "\t"
    if lines and delimiter not in lines[0] and are_names(lines[0].split()):  # blanks between
        delimiter, lines = "\t", ["\t".join(line.split()) for line in lines]
    # a quote opens a value at its start alone, not behind a blank
    lines = [re.sub(rf'{re.escape(delimiter)} +"', f'{delimiter}"', line) for line in lines]
    first = next(csv.reader(lines[:1], delimiter=delimiter), [])
    if are_names(first):
        _require_comments(path, text, first, delimiter)
    is_head = are_names(first) or not (are_values(first) or any(map(is_number, first)))
    if len(lines) < 1 + is_head:
        raise DataError(f"{path}: holds no span, expected at least 1 row; mark some")
    if delimiter == "\t" and len(first) > 1 and all(map(_is_count, first[:2])):
        return _of_track(path, lines)
    if are_values(first) or not are_names(first):
        names = _names_in_comment(text, delimiter, len(first))
        if not names and (are_values(first) or len(lines) == 1):
            raise DataError(
                f"{path}: begins with values, {lines[0][:60]!r}, expected a line of names above"
                " them; add it: start,end,label (with a length start,duration_s,label)"
            )
        first, lines = (names, [delimiter.join(names), *lines]) if names else (first, lines)
    raw = of_table(path, _of_lines(path, lines, first, delimiter))
    return replace(raw, is_decimal_comma=delimiter != ",")


def _require_comments(path: Path, text: str, names: list[str], delimiter: str) -> None:
    """Refuse lines with # that may be rows whose label or number begins with it, as ``#1,10,15``.

    Raises:
        DataError: there is one behind the names, of as many values, whose first is no start.
    """
    known = SpanNames.of(names).names[0]
    if known in (*STARTS, *STOPS, *PLACES):
        return
    lines = text.splitlines()
    above = next(i for i, line in enumerate(lines) if line.strip() and line[0] not in "\\#")
    for i, line in enumerate(lines[above:], above):
        row = next(csv.reader([line], delimiter=delimiter)) if line.startswith("#") else []
        if len(row) == len(names):
            raise DataError(
                f"{path}: line {i + 1}: {line[:60]!r} may be a comment or a span, expected one that"
                f" can be read in one way only; drop it, or put {names[0]} behind start and end"
            )


def _names_in_comment(text: str, delimiter: str, number: int) -> list[str]:
    """Return the names in the last comment above the rows, as MNE-Python and numpy write them."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = next(i for i, line in enumerate(lines) if line[0] != "#")
    found = lines[last - 1].lstrip("# ").split(delimiter) if last else []
    names = [name.strip() for name in found]
    return names if len(names) == number and are_names(names) else []


def _of_lines(path: Path, lines: list[str], names: list[str], delimiter: str) -> pa.Table:
    """Return the table in lines of text, all values as text."""
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error"

    try:
        return pa.csv.read_csv(
            pa.BufferReader("\n".join(lines).encode()),
            read_options=pa.csv.ReadOptions(use_threads=False),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter, invalid_row_handler=refuse, newlines_in_values=True
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid as err:
        if not wrong:
            raise
        cure = f"quote values that hold a {delimiter!r}"
        raise wrong_width(path, wrong[0], 2, cure) from err


def _is_count(text: str) -> bool:
    return is_number(text.replace(",", "."))


def _of_track(path: Path, lines: list[str]) -> RawSpans:
    """Start, end and label in seconds, without a header: a label track as Audacity exports it."""
    rows = [line.split("\t") for line in lines]
    wrong = next((row for row, one in enumerate(rows) if len(one) < 2), None)
    if wrong is not None:
        raise DataError(
            f"{path}: row {wrong}: expected start, end and label with tabs between,"
            f" got {lines[wrong][:60]!r}; fix that row"
        )
    starts, stops = ([row[i] for row in rows] for i in range(2))
    words = [row[2] if len(row) > 2 else "" for row in rows]
    return RawSpans(
        pa.chunked_array([pa.array(starts)]),
        pa.chunked_array([pa.array(stops)]),
        words if any(word.strip() for word in words) else None,
        ends="half-open",
        unit="seconds",
        is_decimal_comma=True,
    )
