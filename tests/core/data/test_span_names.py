"""Lists of spans whose columns have other names, other units, or no names at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from moola_core.data.spans_file import COUNTED, read_spans
from moola_core.data.times import Clock
from moola_core.errors import DataError
from tests.support.span_lists import BARS, FIRST, TWO, clock, rows, spans_of

BAR_SECONDS = 60


def by_number(header: str, scale: float) -> str:
    return rows(header, *(f"{a * scale:g},{b * scale:g},{word}" for a, b, word in TWO))


UNITS = {
    "start_ms,end_ms,label": 60_000,
    "Start (s),End (s),Label": 60,
    "start_seconds,stop_seconds,label": 60,
    "Start [min],End [min],Label": 1,
    "startMs,endMs,label": 60_000,
    "Begin Time - msec,End Time - msec,labels": 60_000,  # ELAN
    "Begin Time - ss.msec,End Time - ss.msec,labels": 60,
    "start_frame,stop_frame,label": 1,  # CVAT
    "frame_start,frame_end,label": 1,
    "start_sample,end_sample,label": 1,  # wfdb
    "startIndex,endIndex,label": 1,
}


@pytest.mark.parametrize("header", UNITS)
def test_a_name_says_what_its_numbers_count(header: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(by_number(header, UNITS[header]))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO


TIMES: dict[str, Callable[[int], str]] = {
    "startTime,endTime,label": clock,
    "Date From,Date To,Type": clock,
    "t_start,t_end,label": lambda bar: str(FIRST + BAR_SECONDS * bar),
    "start_ms,end_ms,label": lambda bar: str((FIRST + BAR_SECONDS * bar) * 1000),
    "start-time,end-time,label": lambda bar: clock(bar).replace(" ", "T") + "Z",
}


@pytest.mark.parametrize("header", TIMES)
def test_times_are_times_whatever_the_name_says(header: str, tmp_path: Path) -> None:
    time_of = TIMES[header]
    (tmp_path / "s.csv").write_text(
        rows(header, *(f"{time_of(a)},{time_of(b)},{word}" for a, b, word in TWO))
    )
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO


def test_starts_may_be_there_in_several_units(tmp_path: Path) -> None:
    """ELAN writes each time in three ways."""
    header = "Begin Time - ss.msec,Begin Time - msec,End Time - ss.msec,End Time - msec,Typ"
    lines = [f"{60 * a},{60_000 * a},{60 * b},{60_000 * b},{word}" for a, b, word in TWO]
    (tmp_path / "s.csv").write_text(rows(header, *lines))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO


@pytest.mark.parametrize("header", ["start_s,end_ms,label", "start,end_s,label"])
def test_two_units_of_one_span_are_refused(header: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(by_number(header, 60))
    start, end, _ = header.split(",")
    with pytest.raises(DataError, match=f"columns {start} and {end}: expected one unit in both"):
        spans_of(tmp_path / "s.csv", ends="half-open")


@pytest.mark.parametrize(
    ("header", "scale"),
    [("time_s,label", 60), ("Time (ms),label", 60_000), ("frame,label", 1), ("sample,label", 1)],
)
def test_labels_per_bar_may_count_seconds_or_bars(header: str, scale: int, tmp_path: Path) -> None:
    words = {bar: word for a, b, word in TWO for bar in range(a, b)}
    lines = [f"{scale * bar},{words.get(bar, 'none')}" for bar in range(60)]
    (tmp_path / "s.csv").write_text(rows(header, *lines))
    assert spans_of(tmp_path / "s.csv") == TWO


def test_the_range_of_a_query_is_no_span(tmp_path: Path) -> None:
    """InfluxDB writes _start and _stop of the query beside each _time."""
    words = {bar: word for a, b, word in TWO for bar in range(a, b)}
    of_query = "2024-01-02T00:00:00Z,2024-01-03T00:00:00Z"
    lines = [
        f",,0,{of_query},{clock(bar).replace(' ', 'T')}Z,{words.get(bar, 'none')}"
        for bar in range(60)
    ]
    head = "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,string\n"
    (tmp_path / "s.csv").write_text(head + rows(",result,table,_start,_stop,_time,label", *lines))
    assert spans_of(tmp_path / "s.csv") == TWO


def test_numbers_of_an_onset_are_bars_where_that_is_said(tmp_path: Path) -> None:
    """In EDF+ a second is what its writer took for one: often a bar."""
    path = tmp_path / "s.csv"
    path.write_text(rows("onset,duration,text", *(f"{a}.0,{b - a}.0,{word}" for a, b, word in TWO)))
    assert spans_of(path, unit="bars") == TWO
    times = Clock("s.csv")
    found, _ = read_spans(path, BARS, times, None)
    assert [(one.start, one.stop) for one in found] == [(0, 1), (0, 1)]  # 10 to 15 and 30 to 42 s
    assert COUNTED in times.units  # which jobs.windows says


@pytest.mark.parametrize(
    ("comment", "lines"),
    [
        (
            "# MNE-Annotations\n# onset, duration, description\n",
            ["600.0,300.0,up", "1800.0,720.0,down"],
        ),
        ("# start,end,label\n", ["10,15,up", "30,42,down"]),  # numpy.savetxt
        ("# start;end;label\n", ["10;15;up", "30;42;down"]),
    ],
)
def test_names_may_stand_in_a_comment(comment: str, lines: list[str], tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text(comment + "\n".join(lines) + "\n")
    ends = None if "onset" in comment else "half-open"
    assert spans_of(tmp_path / "s.txt", ends=ends) == TWO


@pytest.mark.parametrize(
    "line",
    [
        "labels\t\t03:20:00.000\t12000.0\t12000000\t03:27:00.000\t12420.0\tup",  # ELAN
        "12000.0,420.0,up",
        "2024-01-02 17:50:00,2024-01-02 17:56:00,up",
        "label,17:50,17:56",
    ],
)
def test_values_without_names_are_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text(f"# by hand\n{line}\n{line}\n")
    with pytest.raises(DataError, match=r"begins with values, '.*expected a line of names above"):
        spans_of(tmp_path / "s.txt", ends="half-open")


def of_grafana(**more: list[object]) -> str:
    """Return annotations as Grafana's API has them."""
    start = [(FIRST + BAR_SECONDS * a) * 1000 for a, _, _ in TWO]
    stop = [(FIRST + BAR_SECONDS * b) * 1000 for _, b, _ in TWO]
    columns = {"id": [1, 2], "time": start, "timeEnd": stop, "data": [{}, {}], **more}
    return json.dumps(
        [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    )


@pytest.mark.parametrize(
    "more",
    [
        {"text": ["up", "down"], "tags": [[], []]},
        {"text": ["", ""], "tags": [["up"], ["down"]]},
        {"text": ["note", ""], "tags": [["a"], ["b"]], "label": ["up", "down"]},
    ],
)
def test_annotations_of_grafana_are_spans(more: dict[str, list[object]], tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(of_grafana(**more))
    assert spans_of(tmp_path / "s.json", ends="half-open") == TWO


def test_text_and_tags_of_grafana_are_asked_about(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(of_grafana(text=["big", ""], tags=[["up"], ["down"]]))
    with pytest.raises(DataError, match="columns text and tags: both hold words"):
        spans_of(tmp_path / "s.json", ends="half-open")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"start": 0, "end": 9, "tiers": {}}, "an object of 'start', 'end', 'tiers', expected"),
        ({"images": [], "annotations": [{"id": 1}]}, "an object of 'images', 'annotations'"),
        ([{"stream": "x", "annotations": [{"startTime": 1}]}], "a list of objects, expected"),
    ],
)
def test_json_of_other_programs_is_not_taken_for_label_studios(
    content: object, says: str, tmp_path: Path
) -> None:
    (tmp_path / "s.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=says):
        spans_of(tmp_path / "s.json", ends="half-open")


@pytest.mark.parametrize(
    "content",
    [
        b"ooBinaryFile\x08TextGrid\0\0\0\0\xc0\xf8",  # Praat
        b"0       X X X X" + b" " * 177 + b"\xff\x7f\0\x80",  # EDF+
        b"\0\0\0\x64\0\0\0\x1f" * 4,  # FIF of MNE-Python
    ],
)
def test_what_is_no_text_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"no text, expected a table of spans; write .*docs/data"):
        spans_of(tmp_path / "s.bin", ends="half-open")


EASTERN = ["2024-01-02 09:40:00", "2024-01-02 09:45:00", "2024-01-02 10:00:00", "2024-01-02 10:12"]


@pytest.mark.parametrize(
    "header",
    [
        "Start (America/New_York),End (America/New_York),Label",
        "start_time (EST),end_time (EST),label",
        "Begin [America/New_York],End,label",
        "start,end (EST),label",
    ],
)
def test_the_zone_of_times_may_stand_in_their_name(header: str, tmp_path: Path) -> None:
    a, b, c, d = EASTERN
    (tmp_path / "s.csv").write_text(rows(header, f"{a},{b},up", f"{c},{d},down"))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO


def test_labels_per_bar_may_have_a_zone_in_the_name(tmp_path: Path) -> None:
    lines = [f"2024-01-02 09:{30 + bar},{int(10 <= bar < 15)}" for bar in range(20)]
    (tmp_path / "s.csv").write_text(rows("Time (EST),label", *lines))
    assert spans_of(tmp_path / "s.csv") == [(10, 15, "span")]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("Start (CST),End (CST),Label", "column Start .CST.: CST is not the name of a single zone"),
        ("Start (EST),End (UTC),Label", "columns Start .EST. and End .UTC.: expected one zone"),
    ],
)
def test_a_zone_that_is_none_or_two_is_refused(header: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(rows(header, f"{clock(10)},{clock(15)},up"))
    with pytest.raises(DataError, match=says):
        spans_of(tmp_path / "s.csv", ends="half-open")


@pytest.mark.parametrize("column", ["symbol", "Ticker", "pair"])
def test_spans_of_several_instruments_are_asked_about(column: str, tmp_path: Path) -> None:
    path, (one, two) = tmp_path / "s.csv", TWO
    lines = [f"MNQ,{a},{b},{word}" for a, b, word in TWO]
    path.write_text(rows(f"{column},start,end,label", lines[0], "ES,100,110,up", lines[1]))
    with pytest.raises(DataError, match=r"spans of 2 instruments .ES, MNQ., .*--span-symbol NAME"):
        spans_of(path, ends="half-open")
    found, faults = read_spans(path, BARS, Clock("s.csv"), "half-open", symbol="MNQ")
    assert [(at.row, at.start, at.stop) for at in found] == [(0, *one[:2]), (2, *two[:2])]
    assert faults == []
    with pytest.raises(DataError, match="no span of NQ, expected one of ES, MNQ"):
        read_spans(path, BARS, Clock("s.csv"), "half-open", symbol="NQ")
    path.write_text(rows(f"{column},start,end,label", *lines))  # one is not asked about
    assert spans_of(path, ends="half-open") == TWO


def test_rows_of_one_instrument_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(rows("symbol,start,end,label", "ES,1,2,up", "MNQ,10,15,up", "MNQ,20,x,up"))
    with pytest.raises(DataError, match="row 2, column end: expected a number, as in row 1"):
        read_spans(path, BARS, Clock("s.csv"), "half-open", symbol="MNQ")
