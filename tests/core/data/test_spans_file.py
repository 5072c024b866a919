"""Spans as people and tools list them: where each ends, and what it is called."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moola_core.data.raw_spans import Ends
from moola_core.data.series import Bars
from moola_core.data.spans_file import read_spans
from moola_core.data.times import Clock
from moola_core.errors import DataError
from tests.support.span_lists import BARS, FIRST, TWO, clock, rows, spans_of

WITH_LENGTHS = {
    "bars": (rows("start,bars,label", "10,5,up", "30,12,down"), {}),
    "num-bars": (rows("Start,Num bars,Label", "10,5,up", "30,12,down"), {}),
    "unit-bars": (rows("start,length,label", "10,5,up", "30,12,down"), {"unit": "bars"}),
    "unit-seconds": (
        rows("start,length,label", "600,300,up", "1800,720,down"),
        {"unit": "seconds"},
    ),
    "times-and-bars": (
        rows("start,length (bars),label", f"{clock(10)},5,up", f"{clock(30)},12,down"),
        {},
    ),
    "times-and-seconds": (
        rows("start,duration_s,label", f"{clock(10)},300,up", f"{clock(30)},720.0,down"),
        {},
    ),
    "minutes": (rows("start,Duration (min),label", "10,5,up", "30,12,down"), {}),
    "hours-and-minutes": (
        rows("start,duration,label", f"{clock(10)},0:05,up", f"{clock(30)},0:12,down"),
        {},
    ),
    "bars-and-clock": (rows("start,duration,label", "10,0:05,up", "30,00:12:00,down"), {}),
    "pandas": (
        rows("start,duration,label", "10,0 days 00:05:00,up", "30,0 days 00:12:00,down"),
        {},
    ),
    "iso": (rows("start,duration,label", "10,PT5M,up", "30,PT12M,down"), {}),
    "words": (rows("start,duration,label", "10,5 min,up", "30,12min,down"), {}),
    "mne": (rows("onset,duration,description", "600.0,300.0,up", "1800.0,720.0,down"), {}),
    "bids": (rows("onset\tduration\ttrial_type", "600\t300\tup", "1800\t720\tdown"), {}),
    "mne-without-a-date": (
        rows(
            "onset,duration,description",
            "1970-01-01 00:10:00,300.0,up",
            "1970-01-01 00:30:00.000000,720.0,down",
        ),
        {},
    ),
    "a-part-of-a-bar": (rows("start,seconds,label", "10,241,up", "30,720,down"), {}),
}


@pytest.mark.parametrize("name", WITH_LENGTHS)
def test_a_start_and_a_length_are_a_span(name: str, tmp_path: Path) -> None:
    content, options = WITH_LENGTHS[name]
    (tmp_path / "s.csv").write_text(content)
    assert spans_of(tmp_path / "s.csv", **options) == TWO


@pytest.mark.parametrize("kind", ["table", "json-lines", "german"])
def test_numbers_are_seconds_where_that_is_said(kind: str, tmp_path: Path) -> None:
    path, header = tmp_path / "s.csv", "start,end,label" if kind != "german" else "Beginn,Ende,Typ"
    lines = [f"{60 * a},{60 * b},{word}" for a, b, word in TWO]
    if kind == "json-lines":
        lines = [json.dumps({"start": 60 * a, "end": 60 * b, "label": word}) for a, b, word in TWO]
        path.write_text("\n".join(lines) + "\n")
    else:
        path.write_text(rows(header, *lines))
    assert spans_of(path, ends="half-open", unit="seconds") == TWO
    late = [f"{60 * a + 20_000.5},{60 * b + 20_000.5},{word}" for a, b, word in TWO]
    path.write_text(rows("start,end,label", *late))  # no days of Excel
    assert [one[:2] for one in spans_of(path, ends="half-open", unit="seconds")] == [
        (343, 349),
        (363, 376),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'<?xml version="1.0"?><ANNOTATION_DOCUMENT/>', "XML or HTML, expected a table of spans"),
        (b'File type = "ooTextFile"\nObject class = "TextGrid"\n', "a TextGrid of Praat"),
        ("start,end,label\n1,2,Rückzug\n".encode("cp1252"), "no UTF-8 at byte 21, expected UTF-8"),
        (
            b"start,end,label\n1,2,x\n3,4,a, b\n",
            "row 1: expected 3 values a row, got 4: '3,4,a, b'",
        ),
        (
            b"start,end,label\n1,2,x\n3,4,a, b\n",
            "row 1: expected 3 values a row, got 4: '3,4,a, b'; quote values",
        ),
        (
            b"start,end,label\n1,2,x\nTotal,,1\n",
            "row 1, column start: expected a number, as in row 0",
        ),
        (b"first,last,what\n", "holds no span, expected at least 1 row"),
        (b"10,15,up\n", "begins with values, '10,15,up', expected a line of names above"),
    ],
)
def test_files_that_can_not_be_are_named(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    with pytest.raises(DataError, match=says):
        spans_of(tmp_path / "s.csv", ends="half-open")


def test_a_column_of_durations_is_read(tmp_path: Path) -> None:
    starts = pa.array([FIRST + 600, FIRST + 1800], pa.timestamp("s"))
    lengths = pa.array([300_000, 720_000], pa.duration("ms"))
    table = pa.table({"start": starts, "duration": lengths, "label": ["up", "down"]})
    pq.write_table(table, tmp_path / "s.parquet")
    assert spans_of(tmp_path / "s.parquet") == TWO


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (
            rows("start,length,label", "10,5,up"),
            {},
            "column length: numbers, 5 the first, expected",
        ),
        (
            rows("start,bars,label", "10,5,up", "30,1.5,up"),
            {},
            "row 1, column bars: expected a whole number of bars, got '1.5'",
        ),
        (
            rows("start,duration,label", "10,0:05,up", "30,soon,up"),
            {},
            "row 1, column duration: expected a length like 5",
        ),
        (
            rows("start,duration,label", "10,0:05,up", "30,7,up"),
            {},
            "row 0, column duration: expected a number, as other rows, got '0:05'",
        ),
        (
            rows("start,bars,label", "10,5,up"),
            {"ends": "inclusive"},
            "a length says itself where a span ends, expected no --ends inclusive",
        ),
        (
            rows("start,bars,label", "10,,up"),
            {},
            "row 0, column bars: expected a length, got nothing",
        ),
        (
            rows("start_s,length,label", "600,300,up"),  # of an onset alone it is in seconds, too
            {},
            "column length: numbers, 300 the first, expected their unit to be known",
        ),
        (
            rows("start,end,label,Label", "10,15,up,down"),
            {"ends": "half-open"},
            "column label is there twice, expected it once; drop one",
        ),
        (
            rows("start,end,note", "10,15,up"),
            {"ends": "half-open"},
            "column label is missing, expected one of label, labels, type",
        ),
    ],
)
def test_lengths_and_labels_that_say_too_little_are_refused(
    content: str, options: dict[str, str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text(content)
    with pytest.raises(DataError, match=says):
        spans_of(tmp_path / "s.csv", **options)


def test_a_length_of_nothing_or_past_the_end_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(
        rows("start,bars,label", "10,0,up", "598,5,up", "600,5,up", "30,12,down")
    )
    found, faults = read_spans(tmp_path / "s.csv", BARS, Clock("s.csv"), None)
    assert [(one.row, one.start, one.stop) for one in found] == [(3, 30, 42)]
    columns = [(fault.row, fault.column) for fault in faults]
    assert columns == [(0, "bars"), (1, "bars"), (2, "start")]
    assert "an end after its start" in faults[0].expected
    (tmp_path / "t.csv").write_text(rows("start,duration,label", "598,0:05,up", "700,0:05,up"))
    _, faults = read_spans(tmp_path / "t.csv", BARS, Clock("t.csv"), None)
    assert [fault.expected for fault in faults] == ["at most bar 600", "a bar in 0..599"]


@pytest.mark.parametrize(
    ("content", "label", "words"),
    [
        (rows("start,end", "10,15", "30,42"), None, ["span", "span"]),
        (rows("start,end", "10,15", "30,42"), "wave", ["wave", "wave"]),
        (rows("id,start,end,price", "7,10,15,1.5", "8,30,42,1.5"), None, ["span", "span"]),
        (rows("start,end,note", "10,15,a", "30,42,b"), "wave", ["wave", "wave"]),
        (rows("start,end,label", "10,15,", "30,42,down"), "wave", ["wave", "down"]),
    ],
)
def test_spans_without_a_word_are_of_one_type(
    content: str, label: str | None, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text(content)
    found = spans_of(tmp_path / "s.csv", ends="half-open", label=label)
    assert found == [(a, b, word) for (a, b, _), word in zip(TWO, words, strict=True)]


def test_the_line_for_excel_and_a_mark_are_passed_over(tmp_path: Path) -> None:
    text = "sep=;\n" + rows("start;end;label", "10;15;up", "30;42;down")
    (tmp_path / "s.csv").write_text(text, encoding="utf-8-sig")
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO


@pytest.mark.parametrize("word", ["NA", "null", 'say "a, b"', "two\nlines", "上昇", "#1"])
def test_any_word_is_a_label(word: str, tmp_path: Path) -> None:
    with (tmp_path / "s.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("start", "end", "label"), (10, 15, word)])
    assert spans_of(tmp_path / "s.csv", ends="half-open") == [(10, 15, word)]


@pytest.mark.parametrize(
    "track", ["600.0\t900.0\t\n1800.0\t2520.0\t\n", "600,0\t900,0\n1800,0\t2520,0\n"]
)
def test_a_label_track_without_words_is_of_one_type(track: str, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(track)
    assert spans_of(tmp_path / "labels.txt") == [(10, 15, "span"), (30, 42, "span")]


ROWS = [{"start": a, "end": b, "label": word} for a, b, word in TWO]


@pytest.mark.parametrize(
    "content", [ROWS, {"spans": ROWS}, {"schema": {"fields": []}, "data": ROWS}, {"rows": ROWS}]
)
def test_an_object_that_holds_rows_alone_is_those_rows(content: object, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(content))
    assert spans_of(tmp_path / "s.json", ends="half-open") == TWO


def test_one_row_of_json_lines_is_a_span(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    assert spans_of(tmp_path / "s.jsonl", ends="half-open") == TWO[:1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"spans": ROWS, "unit": "seconds"}, "JSON that is an object of 'spans', 'unit', expected"),
        ({"start": [10], "end": 15}, "JSON that is an object of 'start', 'end', expected"),
        ([[10, 15, 1, 2]], "JSON that is a list of lists, expected a list of rows"),
        ({"spans": []}, "JSON that is an empty list, expected a list of rows"),
        ([{"id": 1, "annotations": []}], "no region of a time series, expected Label Studio's"),
    ],
)
def test_json_of_anything_else_is_named(content: object, says: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=says):
        spans_of(tmp_path / "s.json", ends="half-open")


@pytest.mark.parametrize("ends", ["inclusive", "half-open"])
def test_a_time_is_that_of_a_close_where_bars_have_it(tmp_path: Path, ends: Ends) -> None:
    path = tmp_path / "s.csv"
    stop = 12 if ends == "inclusive" else 13
    lines = [f"{clock(11)},{clock(stop + 1)},up", f"{clock(598)},{clock(stop - 12 + 600)},down"]
    path.write_text(rows("start,end,label", *lines))
    found, faults = read_spans(path, BARS, Clock("s.csv", "UTC"), ends, stamp="close")
    assert [(one.start, one.stop) for one in found] == [(10, 13), (597, 600)]
    assert faults == []


def test_a_time_within_a_bar_is_in_it_whatever_the_stamp(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(rows("start,end,label", f"{clock(10)[:-2]}20,{clock(12)[:-2]}40,up"))
    for stamp in ("open", "close"):
        found, _ = read_spans(path, BARS, Clock("s.csv", "UTC"), "inclusive", stamp=stamp)
        assert [(one.start, one.stop) for one in found] == [(10, 13)]


def test_closes_may_be_a_millisecond_early(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(rows("start,end,label", f"{clock(10)[:-2]}59.999,{clock(12)[:-2]}59.999,up"))
    found, _ = read_spans(path, BARS, Clock("s.csv", "UTC"), "inclusive", stamp="close")
    assert [(one.start, one.stop) for one in found] == [(10, 13)]


def test_seconds_and_bar_numbers_have_no_stamp(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(rows("start,end,label", "10,12,up"))
    found, _ = read_spans(path, BARS, Clock("s.csv"), "inclusive", stamp="close")
    assert [(one.start, one.stop) for one in found] == [(10, 13)]
    path.write_text(rows("start,end,label", "600,780,up"))
    found, _ = read_spans(path, BARS, Clock("s.csv"), "half-open", "seconds", stamp="close")
    assert [(one.start, one.stop) for one in found] == [(10, 13)]


def test_labels_per_bar_are_at_closes_too(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    labelled = [f"{clock(bar + 1)},{int(10 <= bar < 13)}" for bar in range(5, 20)]
    path.write_text(rows("timestamp,label", *labelled))
    found, _ = read_spans(path, BARS, Clock("s.csv", "UTC"), None, stamp="close")
    assert [(one.start, one.stop) for one in found] == [(10, 13)]


def test_bars_without_a_trade_are_missing_and_closes_a_minute_late(tmp_path: Path) -> None:
    minutes = np.cumsum([0, *[1, 2, 3, 1, 2, 3, 1] * 20])  # most often 1, in the median 2
    bars = Bars(np.ones((len(minutes), 4)), (FIRST + 60 * minutes) * 10**9)
    path = tmp_path / "s.csv"
    at = [clock(int(minutes[bar]) + 1) for bar in (20, 24)]
    path.write_text(rows("start,end,label", f"{at[0]},{at[1]},up"))
    found, _ = read_spans(path, bars, Clock("s.csv", "UTC"), "inclusive", stamp="close")
    assert [(one.start, one.stop) for one in found] == [(20, 25)]


def test_a_time_at_which_no_bar_trades_is_in_a_gap_beside_bars_that_miss_often(
    tmp_path: Path,
) -> None:
    minutes = np.cumsum([0, *[1, 2, 3, 1, 2, 3, 1] * 20])  # most often 1, in the median 2
    bars = Bars(np.ones((len(minutes), 4)), (FIRST + 60 * minutes) * 10**9)
    path = tmp_path / "s.csv"
    # bar 3 is of minute 6 and bar 4 of minute 7; bar 2 of minute 3, before which none is of 2
    assert minutes[:5].tolist() == [0, 1, 3, 6, 7]
    for minute, first in ((1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 3)):
        path.write_text(rows("start,end,label", f"{clock(minute)},{clock(7)},up"))
        found, _ = read_spans(path, bars, Clock("s.csv", "UTC"), "inclusive")
        assert [(one.start, one.stop) for one in found] == [(first, 5)]
    behind = [int(minutes[-1]) + late for late in (1, 2)]  # its close, and later
    for minute, number in zip(behind, (1, 0), strict=True):
        path.write_text(rows("start,end,label", f"{clock(1)},{clock(minute)},up"))
        found, _ = read_spans(path, bars, Clock("s.csv", "UTC"), "inclusive")
        assert len(found) == number


@pytest.mark.parametrize("word", ["n/a", "NaN", "nan", "#N/A", "<NA>"])
def test_a_label_that_is_missing_is_none(word: str, tmp_path: Path) -> None:
    content = rows("start,end,label", "10,14,up", f"20,24,{word}", "30,41,down")
    (tmp_path / "spans.csv").write_text(content)
    spans, faults = read_spans(tmp_path / "spans.csv", BARS, Clock("spans"), "inclusive")
    assert [(one.start, one.stop, one.label) for one in spans] == TWO
    assert [(fault.row, fault.column) for fault in faults] == [(1, "label")]
    spans, _ = read_spans(tmp_path / "spans.csv", BARS, Clock("spans"), "inclusive", None, "flat")
    assert [one.label for one in spans] == ["up", "flat", "down"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_number_is_the_same_word_in_a_float_column(kind: str, tmp_path: Path) -> None:
    import pandas as pd

    # pandas makes floats of whole numbers where one is missing
    columns = {"start": [10, 30, 50], "end": [14, 41, 52], "label": [1, 2, None]}
    table, path = pd.DataFrame(columns), tmp_path / f"spans.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    spans, _ = read_spans(path, BARS, Clock("spans"), "inclusive")
    assert [one.label for one in spans] == ["1", "2"]


def test_quotes_may_stand_behind_a_blank(tmp_path: Path) -> None:
    content = rows('start, end, "label"', '10, 14, "up"', '30, 41, "down"')
    (tmp_path / "s.csv").write_text(content)
    assert spans_of(tmp_path / "s.csv", ends="inclusive") == TWO


@pytest.mark.parametrize("freq", ["min", "h", "D"])
def test_periods_of_pandas_are_no_bar_numbers(freq: str, tmp_path: Path) -> None:
    # Their numbers count those since 1970, and are of this type where pandas isn't loaded.
    noted = {
        b"ARROW:extension:name": b"pandas.period",
        b"ARROW:extension:metadata": f'{{"freq": "{freq}"}}'.encode(),
    }
    fields = [pa.field(name, pa.int64(), metadata=noted) for name in ("start", "end")]
    table = pa.table([[10, 30], [14, 41]], schema=pa.schema(fields))
    pq.write_table(table, tmp_path / "spans.parquet")
    with pytest.raises(DataError, match=rf"column start: pandas' periods \({freq}\), expected"):
        read_spans(tmp_path / "spans.parquet", BARS, Clock("spans"), "inclusive")


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        # 1,010 is one bar; 1,5 is none; of seconds it may be 1.01 as well
        ('start,end,label\n"1,010","1,014",up\n', {}, [(1010, 1015, "up")]),
        ("start;end;label\n1,010;1,014;up\n", {}, [(1010, 1015, "up")]),
        ("start;end;label\n10,0;14,0;up\n", {}, [(10, 15, "up")]),
        ("start;end;label\n600,5;840,250;up\n", {"unit": "seconds"}, [(10, 15, "up")]),
        ('start,bars,label\n"1,010",5,up\n', {"ends": None}, [(1010, 1015, "up")]),
    ],
)
def test_a_comma_is_for_thousands_of_bars(
    content: str,
    options: dict[str, str | None],
    expected: list[tuple[int, int, str]],
    tmp_path: Path,
) -> None:
    (tmp_path / "s.csv").write_text(content)
    bars = Bars(np.ones((2000, 4)), (FIRST + 60 * np.arange(2000)) * 10**9)
    chosen: dict[str, Any] = {"ends": "inclusive", "unit": None, **options}
    found, _ = read_spans(tmp_path / "s.csv", bars, Clock("s.csv", "UTC"), **chosen)
    assert [(one.start, one.stop, one.label) for one in found] == expected


def test_a_comma_in_seconds_that_may_be_either_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(rows("start,end,label", '600,"1,200",up'))
    with pytest.raises(DataError, match=r"row 0, column end: expected a decimal point.* '1,200'"):
        spans_of(tmp_path / "s.csv", unit="seconds", ends="inclusive")


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.binary()])
def test_a_list_of_one_word_and_bytes_are_a_word(kind: pa.DataType, tmp_path: Path) -> None:
    words = [["up"], ["down"]] if pa.types.is_list(kind) else [b"up", b"down"]
    table = pa.table({"start": [10, 30], "end": [15, 42], "label": pa.array(words, kind)})
    pq.write_table(table, tmp_path / "s.parquet")
    assert spans_of(tmp_path / "s.parquet", ends="half-open") == TWO


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_several_words_are_no_type(kind: str, tmp_path: Path) -> None:
    lines = [{"start": 10, "end": 15, "label": ["up"]}, {"start": 1, "end": 2, "label": ["a", "b"]}]
    path = tmp_path / f"s.{kind}"
    if kind == "json":
        path.write_text(json.dumps(lines))
    else:
        pq.write_table(pa.Table.from_pylist(lines), path)
    found, faults = read_spans(path, BARS, Clock("s"), "half-open")
    assert [one.label for one in found] == ["up"]
    assert [(fault.row, fault.column) for fault in faults] == [(1, "label")]


@pytest.mark.parametrize("kind", ["csv", "date", "timestamp"])
def test_days_as_last_bars_are_no_midnights(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s"
    if kind == "csv":
        path.write_text(rows("start,end,label", "2024-01-02 14:40,2024-01-03,up"))
    else:
        times = pa.array([np.datetime64("2024-01-03", "us")])
        ends = times.cast(pa.date32()) if kind == "date" else times
        pq.write_table(pa.table({"start": times, "end": ends, "label": ["up"]}), path)
    with pytest.raises(DataError, match=r"column end: days without a time of day.* --ends half-o"):
        spans_of(path, ends="inclusive")
    found = spans_of(path, ends="half-open") if kind == "csv" else []
    assert found == ([(10, 570, "up")] if kind == "csv" else [])
