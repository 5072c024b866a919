"""Spans that people marked: tables, Label Studio, chart rectangles, Audacity label tracks.

A span is given by times or by bar numbers from 0, and comes out half-open in bars of the series.
Whether a table's end is the last bar inside or the first one after it is for the user to say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from moola_core.data.bar_tables import readable
from moola_core.data.packed import open_bytes, text_encoding
from moola_core.data.series import Bars
from moola_core.data.table_head import normalise
from moola_core.data.times import Clock
from moola_core.data.window_checks import Fault
from moola_core.errors import DataError
from moola_core.spans.intervals import IntArray

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
MAX_BAR = 10**8  # a larger number counts from 1970
SECOND = 10**9


@dataclass(frozen=True)
class MarkedSpan:
    """One span of a file.

    Attributes:
        row: of the file, from 0.
        start, stop: bars of the series, half-open.
        label: its word.
    """

    row: int
    start: int
    stop: int
    label: str


@dataclass(frozen=True)
class _Raw:
    starts: pa.ChunkedArray
    stops: pa.ChunkedArray
    words: list[str]
    start_name: str = "start"
    stop_name: str = "end"
    ends: Ends | None = None
    unit: Unit = "bars"
    is_rectangle: bool = False


def read_spans(
    path: Path, bars: Bars, clock: Clock, ends: Ends | None, unit: Unit | None = None
) -> tuple[list[MarkedSpan], list[Fault]]:
    """Read a file of spans, and place them in a series.

    Args:
        path: CSV, TSV, Parquet, Label Studio's JSON or JSON-MIN, or a label track of Audacity.
        bars: the series.
        clock: how its times, or times written like them, are read.
        ends: whether the end is the last bar inside; None: not said, which only formats that
            define it allow.
        unit: what the numbers of a label track count: seconds from the first bar's open, or bars.

    Returns:
        The spans, and the fault of each row that is none in this series.

    Raises:
        DataError: the file is missing, of no known kind, lacks a column, or `ends` is not said.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file, expected spans as CSV, Parquet or JSON")
    with readable(path):
        raw = _read(path, unit)
    ends = ends or raw.ends
    if ends is None:
        raise DataError(
            f"{path}: column {raw.stop_name}: is the bar at the end inside its span? expected it"
            " to be said: --ends inclusive or --ends half-open (docs/data.md has a picture)"
        )
    first, is_time = _places(path, raw.starts, raw.start_name, bars, clock, raw.unit)
    last, _ = _places(path, raw.stops, raw.stop_name, bars, clock, raw.unit)
    if raw.is_rectangle:  # drawn from right to left as well
        first, last = np.minimum(first, last), np.maximum(first, last)
    start, stop = (
        _bars_of(first, last, bars, ends) if is_time else (first, last + (ends == "inclusive"))
    )
    return _sort_out(raw, start, stop, len(bars))


def _sort_out(
    raw: _Raw, start: IntArray, stop: IntArray, num_bars: int
) -> tuple[list[MarkedSpan], list[Fault]]:
    spans, faults = [], []
    for row, (a, b, word) in enumerate(zip(start, stop, raw.words, strict=True)):
        if not word.strip():
            faults.append(Fault(row, "label", repr(word), "a word for the type"))
        elif not 0 <= a < num_bars:
            faults.append(Fault(row, raw.start_name, f"bar {a}", f"a bar in 0..{num_bars - 1}"))
        elif b > num_bars:
            faults.append(Fault(row, raw.stop_name, f"bar {b}", f"at most bar {num_bars}"))
        elif b <= a:
            expected = f"an end after its start (bar {a})"
            faults.append(Fault(row, raw.stop_name, f"bar {b}", expected))
        else:
            spans.append(MarkedSpan(row, int(a), int(b), word.strip()))
    return spans, faults


def _read(path: Path, unit: Unit | None) -> _Raw:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            return _of_table(path, file.read())
    with open_bytes(path) as stream:
        content = stream.read()
    encoding, mark_bytes = text_encoding(content[:200])
    text = content[mark_bytes:].decode(encoding)
    if text.lstrip().startswith(("[", "{")):
        return _of_json(path, json.loads(text))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\\")]
    if not lines:
        raise DataError(f"{path}: holds no span, expected at least 1 row")
    delimiter = max(",;\t|", key=lines[0].count)
    head = [normalise(name.strip('"')) for name in lines[0].split(delimiter)]
    if delimiter == "\t" and not set(head) & set(STARTS):
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


def _of_table(path: Path, table: pa.Table) -> _Raw:
    names = [normalise(name) for name in table.column_names]
    places = []
    for what, known in (("start", STARTS), ("end", STOPS), ("label", WORDS)):
        found = [name for name in known if name in names]
        if not found:
            raise DataError(
                f"{path}: column {what} is missing, expected one of {', '.join(known[:6])} ...,"
                f" got {', '.join(table.column_names)}"
            )
        if names.count(found[0]) > 1:
            raise DataError(f"{path}: column {found[0]} is there twice, expected it once")
        places.append(names.index(found[0]))
    start, stop, word = (table.column(i) for i in places)
    words = ["" if one is None else str(one) for one in word.to_pylist()]
    start_name, stop_name, _ = (table.column_names[i] for i in places)
    is_rectangle = names[places[0]] in RECTANGLE
    ends: Ends | None = "inclusive" if is_rectangle else None
    return _Raw(start, stop, words, start_name, stop_name, ends, "bars", is_rectangle)


def _of_track(path: Path, lines: list[str], unit: Unit | None) -> _Raw:
    """Start, end and label in seconds, without a header: a label track as Audacity exports it."""
    rows = [line.split("\t") for line in lines]
    wrong = next((row for row, one in enumerate(rows) if len(one) < 3), None)
    if wrong is not None:
        raise DataError(
            f"{path}: row {wrong}: expected start, end and label with tabs between,"
            f" got {lines[wrong][:60]!r}"
        )
    starts, stops, words = ([row[i] for row in rows] for i in range(3))
    return _Raw(
        pa.chunked_array([pa.array(starts)]),
        pa.chunked_array([pa.array(stops)]),
        words,
        ends="half-open",
        unit=unit or "seconds",
    )


def _of_json(path: Path, content: Any) -> _Raw:
    """Label Studio's export of time series, JSON or JSON-MIN; the point at an end is inside."""
    tasks = content if isinstance(content, list) else [content]
    regions = [region for task in tasks if isinstance(task, dict) for region in _regions(task)]
    if not regions:
        raise DataError(
            f"{path}: no region of a time series, expected Label Studio's JSON or JSON-MIN export"
            " with timeserieslabels"
        )
    words = [str((one["timeserieslabels"] or [""])[0]) for one in regions]
    starts, stops = ([str(one.get(key, "")) for one in regions] for key in ("start", "end"))
    return _Raw(
        pa.chunked_array([pa.array(starts)]),
        pa.chunked_array([pa.array(stops)]),
        words,
        ends="inclusive",
    )


def _regions(task: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for annotation in task.get("annotations", task.get("completions", [])) or []:
        if not annotation.get("was_cancelled"):
            found += [one.get("value", {}) for one in annotation.get("result", [])]
    for value in task.values():
        if isinstance(value, list):
            found += value
    return [one for one in found if isinstance(one, dict) and "timeserieslabels" in one]


def _places(
    path: Path, column: pa.ChunkedArray, name: str, bars: Bars, clock: Clock, unit: Unit
) -> tuple[IntArray, bool]:
    """Bar numbers, or nanoseconds since 1970; and which it is."""
    numbers = _numbers(path, column, name)
    if numbers is not None and unit == "seconds":
        if bars.time is None:
            raise DataError(f"{path}: seconds, but the bars have no times; expected --unit bars")
        return bars.time[0] + np.rint(numbers * SECOND).astype(np.int64), True
    if numbers is not None and not (np.abs(numbers) >= MAX_BAR).any():
        wrong = np.flatnonzero(numbers != np.rint(numbers))
        if len(wrong) and unit == "bars":
            row = int(wrong[0])
            raise DataError(f"{path}: {Fault(row, name, str(numbers[row]), 'a whole bar number')}")
        return numbers.astype(np.int64), False
    if bars.time is None:
        raise DataError(f"{path}: column {name}: times, but the bars have none; give bar numbers")
    return clock.read([column], name, 0), True


def _numbers(path: Path, column: pa.ChunkedArray, name: str) -> np.ndarray | None:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return None
    values = column.to_pylist()
    for row, value in enumerate(values):
        if value is None or value == "":
            fault = Fault(row, name, "nothing", "a bar number or a time")
            raise DataError(f"{path}: {fault}")
    try:
        return np.array([float(value) for value in values])
    except ValueError:
        return None


def _bars_of(first: IntArray, last: IntArray, bars: Bars, ends: Ends) -> tuple[IntArray, IntArray]:
    """The bars between two times: those that `first` and `last` are in, or lie between.

    A time in a gap stands for the next bar if it begins a span, for the one before if it ends it.
    """
    assert bars.time is not None
    time = bars.time
    step = int(np.median(np.diff(time))) if len(time) > 1 else 1
    start = np.searchsorted(time, first, side="right") - 1
    in_gap = (start >= 0) & (first >= time[np.maximum(start, 0)] + step)
    start = start + in_gap
    side: Literal["left", "right"] = "right" if ends == "inclusive" else "left"
    stop = np.searchsorted(time, last, side=side)
    beyond = last > time[-1] + step  # behind the series
    return start.astype(np.int64), np.where(beyond, len(time) + 1, stop).astype(np.int64)
