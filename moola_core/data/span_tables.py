"""Files of spans as tools write them: tables, Excel, Label Studio, Audacity, TradingView."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from moola_core.data.bar_tables import read_arrow
from moola_core.data.excel_table import is_excel, read_excel
from moola_core.data.label_studio import KEY, regions_of_cells, regions_of_tasks, words_of
from moola_core.data.packed import open_bytes, text_encoding
from moola_core.data.span_lengths import Unit, is_length, unit_in
from moola_core.data.table_head import is_clock, is_number, normalise
from moola_core.data.trades_list import places_of, read_trades
from moola_core.errors import DataError

Ends = Literal["inclusive", "half-open"]
STARTS = (
    *("start", "begin", "from", "start_time", "start_timestamp", "start_bar", "first", "first_bar"),
    *("expansion_start", "first_timestamp", "time1", "time_1", "x1", "left", "onset"),
)
STOPS = (
    *("end", "stop", "to", "end_time", "stop_time", "end_timestamp", "end_bar", "stop_bar", "last"),
    *("last_bar", "expansion_end", "last_timestamp", "time2", "time_2", "x2", "right"),
)
WORDS = (
    *("label", "labels", "type", "class", "kind", "category", "tag", "text", "name", "pattern"),
    *("description", "trial_type"),  # MNE-Python, BIDS
)
# Columns that are no labels, beside spans of one type.
NO_WORDS = (
    *("", "index", "id", "row", "#", "no", "nr", "price", "price1", "price2", "price_1", "price_2"),
    *("y1", "y2", "high", "low", "top", "bottom", "color", "colour"),
)
ONE_TYPE = "span"
DAYS = ("date", "day")
_MIDNIGHT = re.compile(r"[ T]00:00(:00(\.0+)?)?$")
RECTANGLE = ("time1", "time_1", "x1", "left")


@dataclass(frozen=True)
class RawSpans:
    """What a file of spans holds, before it is placed in a series.

    Attributes:
        starts, stops: bar numbers or times, as the file has them.
        words: the labels; None where no column has them.
        start_name, stop_name: of their columns, for messages.
        ends: whether the end is inside, where the format defines it.
        unit: what numbers count.
        is_rectangle: whether the ends may come in either order.
        rows: of the file, from 0; None: as they come.
        length_unit: what numbers in `stops` count where those are lengths; "" where nothing says
            it, None where they are ends.
        others: columns that may hold labels, where none is known to.
    """

    starts: pa.ChunkedArray
    stops: pa.ChunkedArray
    words: list[str] | None
    start_name: str = "start"
    stop_name: str = "end"
    ends: Ends | None = None
    unit: Unit = "bars"
    is_rectangle: bool = False
    rows: list[int] | None = None
    length_unit: str | None = None
    others: list[str] = field(default_factory=list)


def read_raw(path: Path, unit: Unit | None, label: str | None = None) -> RawSpans:
    """Find out what a file of spans is, and read it.

    Args:
        path: of the file.
        unit: what numbers count that have none.
        label: the word of spans that have none.

    Raises:
        DataError: it is of no known kind, lacks a column, or holds no span.
    """
    raw = _read(path, unit)
    if raw.words:
        return replace(raw, words=[word if word.strip() else label or "" for word in raw.words])
    if raw.others and label is None:
        raise DataError(
            f"{path}: column label is missing, expected one of {', '.join(WORDS[:6])} ...,"
            f" got {', '.join(raw.others)}; rename the one that has the types, or give spans of"
            " one type their word: --label WORD"
        )
    return replace(raw, words=[label or ONE_TYPE] * len(raw.starts))


def _read(path: Path, unit: Unit | None) -> RawSpans:
    with path.open("rb") as file:
        start = file.read(16)
    if start[:6] == b"ARROW1" or start[:4] in (b"FEA1", b"\xff\xff\xff\xff"):
        return _of_table(path, read_arrow(path, start))
    if path.suffix == ".parquet" or start[:4] == b"PAR1":
        with pq.ParquetFile(path) as file:
            return _of_table(path, file.read())
    if is_excel(path):
        return _of_table(path, read_excel(path))
    with open_bytes(path) as stream:
        content = stream.read()
    encoding, mark_bytes = text_encoding(content[:200])
    text = content[mark_bytes:].decode(encoding)
    if text.lstrip().startswith(("[", "{")):
        content = json.loads(text)
        is_table = isinstance(content, list) and any(_is_row(one) for one in content)
        return _of_rows(path, content) if is_table else _of_regions(path, regions_of_tasks(content))
    lines = [line for line in text.splitlines() if line.strip() and line[0] not in "\\#"]
    delimiter = max(",;|", key=lines[0].count) if lines and "\t" not in lines[0] else "\t"
    first = next(csv.reader(lines[:1], delimiter=delimiter), [])
    if len(lines) < 1 + any(normalise(one) in STARTS for one in first):
        raise DataError(f"{path}: holds no span, expected at least 1 row; mark some")
    if delimiter == "\t" and len(first) > 1 and all(map(_is_count, first[:2])):
        return _of_track(path, lines, unit)
    table = pa.csv.read_csv(
        pa.BufferReader("\n".join(lines).encode()),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(first, pa.string()),
            strings_can_be_null=True,
        ),
    )
    return _of_table(path, table)


def _is_count(text: str) -> bool:
    return is_number(text.replace(",", "."))


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and any(normalise(name) in STARTS for name in value)


def _of_rows(path: Path, rows: list[Any]) -> RawSpans:
    """Rows of a table as JSON, as pandas writes them with ``orient="records"``."""
    names = dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row)
    columns = {
        name: [row.get(name) if isinstance(row, dict) else None for row in rows] for name in names
    }
    texts = {
        name: pa.array([None if value is None else str(value) for value in column], pa.string())
        for name, column in columns.items()
    }
    return _of_table(path, pa.table(texts))


def _of_table(path: Path, table: pa.Table) -> RawSpans:
    names = [normalise(name) for name in table.column_names]
    cells = _label_studio(table)
    if cells is not None:
        return _of_regions(path, regions_of_cells(cells))
    trades = None if set(names) & set(STARTS) else places_of(names)
    if trades is not None:
        return _of_trades(path, [table.column(i).to_pylist() for i in trades])
    start = _place(path, table, names, "start", STARTS)
    length = next((i for i, name in enumerate(names) if is_length(name)), None)
    ends_known = any(name in STOPS for name in names)
    stop = length if length is not None and not ends_known else None
    if stop is None:
        stop = _place(path, table, names, "end", STOPS)
    word = _place(path, table, names, "label", WORDS) if set(names) & set(WORDS) else None
    words = None
    if word is not None:
        words = ["" if one is None else str(one) for one in table.column(word).to_pylist()]
    used = (start, stop, word, length)
    others = [
        name
        for i, name in enumerate(table.column_names)
        if i not in used and names[i] not in (*NO_WORDS, *DAYS, *STARTS, *STOPS)
    ]
    is_rectangle = names[start] in RECTANGLE
    is_length_given = stop == length
    return RawSpans(
        _with_day(table, names, table.column(start)),
        table.column(stop) if is_length_given else _with_day(table, names, table.column(stop)),
        words,
        table.column_names[start],
        table.column_names[stop],
        "inclusive" if is_rectangle else None,
        "seconds" if names[start] == "onset" else "bars",
        is_rectangle,
        length_unit=(unit_in(names[stop]) or _of_onsets(names[start])) if is_length_given else None,
        others=others,
    )


def _with_day(table: pa.Table, names: list[str], column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of times; times of day behind the day of their row, where one has it."""
    texts = [None if one is None else str(one) for one in column.to_pylist()]
    day = next((names.index(one) for one in DAYS if one in names), None)
    if day is None or not all(is_clock(one) and ":" in one for one in texts if one):
        return column
    days = [_MIDNIGHT.sub("", str(one or "")) for one in table.column(day).to_pylist()]
    texts = [one and f"{at} {one}" for at, one in zip(days, texts, strict=True)]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _of_onsets(name: str) -> str:
    """Return the unit of lengths beside a column: onsets are in seconds (BIDS, MNE)."""
    return "s" if name == "onset" else ""


def _place(path: Path, table: pa.Table, names: list[str], what: str, known: tuple[str, ...]) -> int:
    """Return where the column is that has one of the known names."""
    found = [name for name in known if name in names]
    if not found:
        raise DataError(
            f"{path}: column {what} is missing, expected one of {', '.join(known[:6])} ...,"
            f" got {', '.join(table.column_names)};"
            " rename it, or add a line of names: start,end,label"
        )
    if names.count(found[0]) > 1:
        raise DataError(f"{path}: column {found[0]} is there twice, expected it once; drop one")
    return names.index(found[0])


def _of_trades(path: Path, columns: list[list[Any]]) -> RawSpans:
    """TradingView's list of trades: a span from the entry to the exit."""
    texts = [[None if one is None else str(one) for one in column] for column in columns]
    trades = read_trades(path, *texts)
    return RawSpans(
        pa.chunked_array([pa.array([one.start for one in trades], pa.string())]),
        pa.chunked_array([pa.array([one.stop for one in trades], pa.string())]),
        [one.side for one in trades],
        "Date/Time",
        "Date/Time",
        rows=[one.row for one in trades],
    )


def _label_studio(table: pa.Table) -> list[str | None] | None:
    """Return the column that holds Label Studio's regions, if there is one."""
    for column in table.columns:
        cells = column.to_pylist()
        if any(isinstance(cell, str) and KEY in cell for cell in cells):
            return cells
    return None


def _of_track(path: Path, lines: list[str], unit: Unit | None) -> RawSpans:
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
        unit=unit or "seconds",
    )


def _of_regions(path: Path, regions: list[dict[str, Any]]) -> RawSpans:
    """Regions of Label Studio; the point at an end is inside."""
    if not regions:
        raise DataError(
            f"{path}: no region of a time series, expected Label Studio's export (JSON, JSON-MIN,"
            " CSV, TSV) with timeserieslabels; export it anew"
        )
    starts, stops = ([str(one.get(key, "")) for one in regions] for key in ("start", "end"))
    return RawSpans(
        pa.chunked_array([pa.array(starts)]),
        pa.chunked_array([pa.array(stops)]),
        [words_of(one) for one in regions],
        ends="inclusive",
    )
