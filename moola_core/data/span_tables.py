"""Files of spans as tools write them: tables, Excel books, Label Studio, Audacity, rectangles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from moola_core.data.bar_tables import read_arrow
from moola_core.data.excel_table import is_excel, read_excel
from moola_core.data.label_studio import KEY, regions_of_cells, regions_of_tasks, words_of
from moola_core.data.packed import open_bytes, text_encoding
from moola_core.data.table_head import is_number, normalise
from moola_core.errors import DataError

Ends = Literal["inclusive", "half-open"]
Unit = Literal["seconds", "bars"]
STARTS = (
    *("start", "begin", "from", "start_time", "start_timestamp", "start_bar", "first", "first_bar"),
    *("expansion_start", "first_timestamp", "time1", "time_1", "x1", "left"),
)
STOPS = (
    *("end", "stop", "to", "end_time", "stop_time", "end_timestamp", "end_bar", "stop_bar", "last"),
    *("last_bar", "expansion_end", "last_timestamp", "time2", "time_2", "x2", "right"),
)
WORDS = ("label", "labels", "type", "class", "kind", "category", "tag", "text", "name")
RECTANGLE = ("time1", "time_1", "x1", "left")


@dataclass(frozen=True)
class RawSpans:
    """What a file of spans holds, before it is placed in a series.

    Attributes:
        starts, stops: bar numbers or times, as the file has them.
        words: the labels.
        start_name, stop_name: of their columns, for messages.
        ends: whether the end is inside, where the format defines it.
        unit: what numbers count.
        is_rectangle: whether the ends may come in either order.
    """

    starts: pa.ChunkedArray
    stops: pa.ChunkedArray
    words: list[str]
    start_name: str = "start"
    stop_name: str = "end"
    ends: Ends | None = None
    unit: Unit = "bars"
    is_rectangle: bool = False


def read_raw(path: Path, unit: Unit | None) -> RawSpans:
    """Find out what a file of spans is, and read it.

    Raises:
        DataError: it is of no known kind, lacks a column, or holds no span.
    """
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
    delimiter = max(",;\t|", key=lines[0].count) if lines else ","
    has_header = bool(lines) and any(normalise(one) in STARTS for one in lines[0].split(delimiter))
    if len(lines) < 1 + has_header:
        raise DataError(f"{path}: holds no span, expected at least 1 row; mark some")
    first = lines[0].split(delimiter)[:2]
    if delimiter == "\t" and len(first) == 2 and all(is_number(one) for one in first):
        return _of_track(path, lines, unit)
    table = pa.csv.read_csv(
        pa.BufferReader("\n".join(lines).encode()),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(
                (name.strip('"') for name in lines[0].split(delimiter)), pa.string()
            ),
            strings_can_be_null=True,
        ),
    )
    return _of_table(path, table)


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
    places = []
    for what, known in (("start", STARTS), ("end", STOPS), ("label", WORDS)):
        found = [name for name in known if name in names]
        if not found:
            raise DataError(
                f"{path}: column {what} is missing, expected one of {', '.join(known[:6])} ...,"
                f" got {', '.join(table.column_names)};"
                " rename it, or add a line of names: start,end,label"
            )
        if names.count(found[0]) > 1:
            raise DataError(f"{path}: column {found[0]} is there twice, expected it once; drop one")
        places.append(names.index(found[0]))
    start, stop, word = (table.column(i) for i in places)
    words = ["" if one is None else str(one) for one in word.to_pylist()]
    start_name, stop_name, _ = (table.column_names[i] for i in places)
    is_rectangle = names[places[0]] in RECTANGLE
    ends: Ends | None = "inclusive" if is_rectangle else None
    return RawSpans(start, stop, words, start_name, stop_name, ends, "bars", is_rectangle)


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
    wrong = next((row for row, one in enumerate(rows) if len(one) < 3), None)
    if wrong is not None:
        raise DataError(
            f"{path}: row {wrong}: expected start, end and label with tabs between,"
            f" got {lines[wrong][:60]!r}; fix that row"
        )
    starts, stops, words = ([row[i] for row in rows] for i in range(3))
    return RawSpans(
        pa.chunked_array([pa.array(starts)]),
        pa.chunked_array([pa.array(stops)]),
        words,
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
