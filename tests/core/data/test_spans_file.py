"""Spans as people and tools list them: where each ends, and what it is called."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moola_core.data.series import Bars
from moola_core.data.spans_file import read_spans
from moola_core.data.times import Clock
from moola_core.errors import DataError

FIRST = 1_704_205_800  # 2024-01-02 14:30 UTC
BARS = Bars(np.ones((600, 4)), (FIRST + 60 * np.arange(600)) * 10**9)
TWO = [(10, 15, "up"), (30, 42, "down")]  # half-open


def clock(bar: int) -> str:
    return str(np.datetime64(FIRST + 60 * bar, "s")).replace("T", " ")


def spans_of(path: Path, **options: str | None) -> list[tuple[int, int, str]]:
    ends, unit, label = (options.get(name) for name in ("ends", "unit", "label"))
    times = Clock(str(path), "UTC", dates=options.get("dates"))  # type: ignore[arg-type]
    found, faults = read_spans(path, BARS, times, ends, unit, label)  # type: ignore[arg-type]
    assert faults == []
    return [(one.start, one.stop, one.label) for one in found]


def rows(header: str, *lines: str) -> str:
    return "\n".join([header, *lines]) + "\n"


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
        rows("start,bars,label", "10,0,up", "598,5,up", "700,5,up", "30,12,down")
    )
    found, faults = read_spans(tmp_path / "s.csv", BARS, Clock("s.csv"), None)
    assert [(one.row, one.start, one.stop) for one in found] == [(3, 30, 42)]
    assert [fault.row for fault in faults] == [0, 1, 2]
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


OLD = "Trade #,Type,Signal,Date/Time,Price USD,Contracts,Profit USD"
NEW = "Trade number,Type,Date and time,Signal,Price USD,Size (qty),Net PnL USD"


@pytest.mark.parametrize("header", [OLD, NEW])
@pytest.mark.parametrize("exit_first", [False, True])
def test_a_list_of_trades_is_a_span_a_trade(header: str, exit_first: bool, tmp_path: Path) -> None:
    lines = []
    for number, (start, stop, side) in enumerate([(10, 15, "long"), (30, 42, "short")], 1):
        pair = [("Entry", start), ("Exit", stop)]
        for what, bar in reversed(pair) if exit_first else pair:
            when, signal = clock(bar)[:-3], "Close entry(s) order Long"
            middle = f"{when},{signal}" if header == NEW else f"{signal},{when}"
            lines.append(f'{number},{what} {side},{middle},"1,000.5",1,5')
    lines.append(
        f"3,Entry long,{'2024-01-02 15:00,L' if header == NEW else 'L,2024-01-02 15:00'},1,1,"
    )
    (tmp_path / "trades.csv").write_text("\ufeff" + rows(header, *lines), encoding="utf-8")
    found, faults = read_spans(
        tmp_path / "trades.csv", BARS, Clock("trades.csv", "UTC"), "half-open"
    )
    assert [(one.start, one.stop, one.label) for one in found] == [
        (10, 15, "long"),
        (30, 42, "short"),
    ]
    assert [one.row for one in found] == ([1, 3] if exit_first else [0, 2])
    assert [(fault.row, fault.expected) for fault in faults] == [
        (4, "a span, such a row marks none")
    ]
    with pytest.raises(DataError, match="is the bar at the end inside its span"):
        spans_of(tmp_path / "trades.csv")


@pytest.mark.parametrize(
    "header",
    ["EntryTime,ExitTime,Tag", "Entry Timestamp,Exit Timestamp,Direction", "time,end_time,label"],
)
def test_trades_of_libraries_and_what_charts_take_are_spans(header: str, tmp_path: Path) -> None:
    lines = [f"{FIRST + 60 * a},{FIRST + 60 * b},{word}" for a, b, word in TWO]
    (tmp_path / "s.csv").write_text(rows(header, *lines))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["1,Entry long,2024-01-02 14:40", "1,Entry long,2024-01-02 14:41"], "row 1, column Type"),
        (["1,Entry long,2024-01-02 14:40", "1,Salida,2024-01-02 14:41"], "row 1, column Type"),
        (["1,Entry long,2024-01-02 14:40", "1,Exit long,later"], "row 0, column Date/Time"),
    ],
)
def test_a_list_of_trades_that_can_not_be_is_refused(
    lines: list[str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text(rows("Trade #,Type,Date/Time", *lines))
    with pytest.raises(DataError, match=says):
        spans_of(tmp_path / "s.csv", ends="half-open")


def serial(bar: int, since: int = 1900) -> float:
    day = dt.datetime(2024, 1, 2, 14, 30) + dt.timedelta(minutes=bar)  # noqa: DTZ001
    return (day - dt.datetime(1899, 12, 30)).total_seconds() / 86_400 - 1462 * (since == 1904)  # noqa: DTZ001


@pytest.mark.parametrize("since", [1900, 1904])
@pytest.mark.parametrize("sep", [",", ";"])
def test_days_of_excel_are_times_of_spans(since: int, sep: str, tmp_path: Path) -> None:
    lines = [
        f"{serial(a, since):.5f};{serial(b, since):.5f};{word}".replace(
            ".", "," if sep == ";" else "."
        )
        for a, b, word in TWO
    ]
    text = rows("start;end;label", *lines)
    (tmp_path / "s.csv").write_text(text if sep == ";" else text.replace(";", ","))
    dates = "excel-1904" if since == 1904 else None
    assert spans_of(tmp_path / "s.csv", ends="half-open", dates=dates) == TWO


@pytest.mark.parametrize("since", [1900, 1904])
@pytest.mark.parametrize("style", ["General", "yyyy-mm-dd hh:mm"])
def test_a_book_of_excel_says_itself_from_when_it_counts(
    since: int, style: str, tmp_path: Path
) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    if since == 1904:
        book.epoch = dt.datetime(1904, 1, 1)  # noqa: DTZ001
    sheet = book.active
    sheet.append(["Start", "Duration", "Label"])
    for row, (start, stop, word) in enumerate(TWO, 2):
        sheet.append([serial(start, since), dt.timedelta(minutes=stop - start), word])
        sheet.cell(row, 1).number_format = style
    book.save(tmp_path / "s.xlsx")
    assert spans_of(tmp_path / "s.xlsx") == TWO


@pytest.mark.parametrize("day", ["2024-01-02", "2024-01-02 00:00:00"])
def test_times_of_day_stand_behind_the_day_of_their_row(day: str, tmp_path: Path) -> None:
    lines: Sequence[str] = [f"{day},{clock(a)[11:16]},{clock(b)[11:]},{w}" for a, b, w in TWO]
    (tmp_path / "s.csv").write_text(rows("Date,Start,End,Label", *lines))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO
