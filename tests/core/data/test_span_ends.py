"""Both ends of a span in one column, or the days and times of day of each in two."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moola_core.data.spans_file import read_spans
from moola_core.data.times import Clock
from moola_core.errors import DataError
from tests.support.span_lists import BARS, TWO, clock, rows, spans_of


@pytest.mark.parametrize("name", ["span", "bars", "Start-End", "interval"])
@pytest.mark.parametrize(
    "form",
    [
        *("{a}-{b}", "{a} - {b}", "{a}:{b}", "{a}..{b}", "{a}...{b}", "{a} to {b}", "{a}->{b}"),
        *("{a}\u2013{b}", "{a}~{b}", "[{a} {b}]", '"[{a}, {b}]"'),
        *('"slice({a}, {b})"', '"slice({a}, {b}, None)"', '"range({a}, {b})"'),
    ],
)
def test_two_bar_numbers_in_one_column_are_the_ends(name: str, form: str, tmp_path: Path) -> None:
    lines = [f"{form.format(a=a, b=b)},{word}" for a, b, word in TWO]
    (tmp_path / "s.csv").write_text(rows(f"{name},label", *lines), encoding="utf-8")
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO
    last = [(a, b + 1, word) for a, b, word in TWO]
    assert spans_of(tmp_path / "s.csv", ends="inclusive") == last
    with pytest.raises(DataError, match="is the bar at the end inside its span"):
        spans_of(tmp_path / "s.csv")


@pytest.mark.parametrize(
    "form",
    [
        *("{a} - {b}", "{a} to {b}", "{a}/{b}", "{a}Z/{b}Z", "{a}-{b}", "{a}..{b}"),
        *("{a} - {b_clock}", "{a} \u2013 {b_clock}", '"[{a}, {b}]"'),
    ],
)
@pytest.mark.parametrize("name", ["when", "time"])
def test_two_times_in_one_column_are_the_ends(name: str, form: str, tmp_path: Path) -> None:
    ends = [(clock(a), clock(b), word) for a, b, word in TWO]
    lines = [f"{form.format(a=a, b=b, b_clock=b[11:])},{word}" for a, b, word in ends]
    (tmp_path / "s.csv").write_text(rows(f"{name},label", *lines), encoding="utf-8")
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO


def test_a_window_beside_a_start_and_a_length_is_no_pair_of_ends(tmp_path: Path) -> None:
    lines = [f"{a},{b - a},{word},0-100" for a, b, word in TWO]
    (tmp_path / "s.csv").write_text(rows("start,bars,label,window", *lines))
    assert spans_of(tmp_path / "s.csv") == TWO


@pytest.mark.parametrize("window", ["0-100", "09:30-16:00", "1.5 - 2.5"])
def test_a_window_beside_labels_per_bar_is_no_pair_of_ends(window: str, tmp_path: Path) -> None:
    def word_at(bar: int) -> str:
        return next((word for a, b, word in TWO if a <= bar < b), "")

    lines = [f"{clock(bar)},{word_at(bar)},{window}" for bar in range(len(BARS))]
    (tmp_path / "s.csv").write_text(rows("timestamp,label,window", *lines))
    assert spans_of(tmp_path / "s.csv") == TWO


@pytest.mark.parametrize("between", ["-", " - ", " to "])
def test_times_of_day_in_one_column_are_of_the_day_beside_them(
    between: str, tmp_path: Path
) -> None:
    lines = [f"{clock(a)[:10]},{clock(a)[11:16]}{between}{clock(b)[11:16]},{w}" for a, b, w in TWO]
    (tmp_path / "s.csv").write_text(rows("date,span,label", *lines))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO


@pytest.mark.parametrize("as_text", [False, True])
def test_a_pair_in_json_is_the_ends(as_text: bool, tmp_path: Path) -> None:
    found = [{"span": f"{a}-{b}" if as_text else [a, b], "label": word} for a, b, word in TWO]
    (tmp_path / "s.json").write_text(json.dumps(found))
    assert spans_of(tmp_path / "s.json", ends="half-open") == TWO


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["code,label", "10-15,up"], "column start is missing"),  # of no name that says it
        (["opened,label", "10:15,up"], "column start is missing"),  # a clock, perhaps
        (["when,label", "2024-01-02 14:40-05:00,up"], "column start is missing"),  # an offset
        (["span,label", "10-15,up", "30,down"], "row 1, column span: expected two ends, as in"),
        (["span,label", '"(10, 15)",up'], "may be a pair or an interval without its ends"),
    ],
)
def test_what_may_be_no_pair_of_ends_is_refused(
    lines: list[str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text(rows(*lines))
    with pytest.raises(DataError, match=says):
        spans_of(tmp_path / "s.csv", ends="half-open")


@pytest.mark.parametrize(
    "header",
    [
        "start_date,start_time,end_date,end_time,label",
        "Start Date,Start Time,End Date,End Time,Type",
        "StartDate,StartTime,EndDate,EndTime,Label",
        "date_start,time_start,date_end,time_end,label",
        "from_date,from_time,to_date,to_time,label",
        "start_day,start,end_day,end,label",
        "entry_date,entry_time,exit_date,exit_time,side",
    ],
)
def test_a_day_and_a_time_of_day_for_each_end_are_one_time(header: str, tmp_path: Path) -> None:
    far = [(10, 15, "up"), (560, 580, "down")]  # the second one ends on the next day
    lines = [",".join(f"{clock(a)},{clock(b)},{w}".split(" ")) for a, b, w in far]
    (tmp_path / "s.csv").write_text(rows(header, *lines))
    assert lines[1].startswith("2024-01-02,23:50:00,2024-01-03,00:10:00")
    assert spans_of(tmp_path / "s.csv", ends="half-open") == far


def test_a_day_of_the_start_alone_is_that_of_the_end(tmp_path: Path) -> None:
    lines = [f"{clock(a)[:10]},{clock(a)[11:]},{clock(b)[11:]},{w}" for a, b, w in TWO]
    (tmp_path / "s.csv").write_text(rows("start_date,start_time,end_time,label", *lines))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO


@pytest.mark.parametrize("suffix", ["parquet", "xlsx"])
def test_days_and_times_of_day_of_a_type_are_one_time(suffix: str, tmp_path: Path) -> None:
    names = ("start_date", "start_time", "end_date", "end_time", "label")
    ends = [(dt.datetime.fromisoformat(clock(a)), clock(b), word) for a, b, word in TWO]
    cells = [
        (a.date(), a.time(), dt.date.fromisoformat(b[:10]), dt.time.fromisoformat(b[11:]), word)
        for a, b, word in ends
    ]
    if suffix == "parquet":
        columns = zip(*cells, strict=True)
        table = pa.table(dict(zip(names, map(list, columns), strict=True)))
        pq.write_table(table, tmp_path / "s.parquet")
    else:
        book = pytest.importorskip("openpyxl").Workbook()
        for row in (names, *cells):
            book.active.append(row)
        book.save(tmp_path / "s.xlsx")
    assert spans_of(tmp_path / f"s.{suffix}", ends="half-open") == TWO


@pytest.mark.parametrize(
    "lines",
    [
        ["label,start,end", "up,10,15", "#2,30,42"],
        ["label,start,end", "#1,10,15", "#2,30,42"],
        ["row,start,end,label", "#1,10,15,up"],
    ],
)
def test_a_row_that_begins_with_a_mark_is_not_lost(lines: list[str], tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(rows(*lines))
    with pytest.raises(DataError, match=r"line \d: '#\d.*' may be a comment or a span"):
        spans_of(tmp_path / "s.csv", ends="half-open")


def test_comments_are_passed_over_and_a_quoted_label_may_begin_with_a_mark(tmp_path: Path) -> None:
    lines = ["# seen", "start,end,label", "# first", "10,15,up", "# 20,25,up", "30,42,down"]
    (tmp_path / "s.csv").write_text(rows(*lines))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO
    (tmp_path / "s.csv").write_text(rows("label,start,end", "# seen", '"#1",10,15'))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == [(10, 15, "#1")]


def test_a_comment_behind_a_label_is_no_type_of_its_own(tmp_path: Path) -> None:
    lines = ["start,end,label", "10,15,up # strong", "30,42,up"]
    (tmp_path / "s.csv").write_text(rows(*lines))
    with pytest.raises(DataError, match=r"label 'up # strong': a type of its own, or 'up' and"):
        spans_of(tmp_path / "s.csv", ends="half-open")


LATE = [(570, 575, "up"), (580, 590, "down")]  # 2024-01-03 00:00 and 00:10 on


@pytest.mark.parametrize("form", ["%H%M", "%H%M%S"])
@pytest.mark.parametrize(
    "header", ["date,start,end,label", "start_date,start_time,end_date,end_time,label"]
)
def test_digits_beside_a_day_are_times_of_day(header: str, form: str, tmp_path: Path) -> None:
    lines = []
    for a, b, word in LATE:
        ends = [dt.datetime.fromisoformat(clock(one)) for one in (a, b)]
        days = [f"{one:%Y-%m-%d}" for one in ends]
        clocks = [one.strftime(form) for one in ends]
        cells = [days[0], *clocks] if header.startswith("date") else [days[0], clocks[0]]
        cells += [] if header.startswith("date") else [days[1], clocks[1]]
        lines.append(",".join([*cells, word]))
    assert "00:" not in lines[0]
    (tmp_path / "s.csv").write_text(rows(header, *lines))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == LATE


def test_whole_numbers_in_a_column_of_times_are_times_of_day(tmp_path: Path) -> None:
    columns = {"date": ["2024-01-02"], "start_time": [1440], "end_time": [1445], "label": ["up"]}
    pq.write_table(pa.table(columns), tmp_path / "s.parquet")
    assert spans_of(tmp_path / "s.parquet", ends="half-open") == TWO[:1]


@pytest.mark.parametrize(
    ("header", "line", "found"),
    [
        ("date,start_bar,end_bar,label", "2024-01-02,130,145,up", [(130, 145, "up")]),
        ("date,start,end,label", "2024-01-02,10,15,up", [(10, 15, "up")]),
        ("day,start,end,label", "1,130,145,up", [(130, 145, "up")]),
    ],
)
def test_bar_numbers_beside_a_day_stay_what_they_are(
    header: str, line: str, found: list[tuple[int, int, str]], tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text(rows(header, line))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == found


def test_ends_that_are_all_missing_beside_a_day_are_no_span(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(rows("date,start,end,label", "2024-01-02,,,up"))
    with pytest.raises(DataError, match="holds no span, expected at least 1 row with start and"):
        spans_of(tmp_path / "s.csv", ends="half-open")


def test_digits_that_may_be_either_are_refused(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(rows("date,start,end,label", "2024-01-02,130,145,up"))
    with pytest.raises(DataError, match="column start: 130 may be a bar number or, behind its day"):
        spans_of(tmp_path / "s.csv", ends="half-open")


def test_lists_in_json_and_blanks_between_values_are_tables(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(TWO))
    assert spans_of(tmp_path / "s.json", ends="half-open") == TWO
    lines = [f"{a:5} {b:5}   {word}" for a, b, word in TWO]
    (tmp_path / "s.txt").write_text(rows("start   end  label", *lines))
    assert spans_of(tmp_path / "s.txt", ends="half-open") == TWO


@pytest.mark.parametrize("name", ["series", "symbol"])
def test_of_labels_per_bar_those_of_one_series_are_chosen(name: str, tmp_path: Path) -> None:
    lines = []
    for series in ("close", "volume"):
        words = {bar: word for a, b, word in TWO for bar in range(a, b)}
        words = words if series == "close" else {}
        lines += [f"{series},{clock(bar)},{bar},{words.get(bar, '')}" for bar in range(60)]
    (tmp_path / "s.csv").write_text(rows(f"{name},timestamp,value,label", *lines))
    times = Clock("s.csv", "UTC")
    found, faults = read_spans(tmp_path / "s.csv", BARS, times, None, symbol="close")
    assert ([(one.start, one.stop, one.label) for one in found], faults) == (TWO, [])
    with pytest.raises(DataError, match=r"spans of 2 instruments \(close, volume\)"):
        read_spans(tmp_path / "s.csv", BARS, Clock("s.csv", "UTC"), None)
    alone = [line for line in lines if line.startswith("close")]
    (tmp_path / "s.csv").write_text(rows("series,timestamp,value,label", *alone))
    assert spans_of(tmp_path / "s.csv") == TWO


@pytest.mark.parametrize("orient", ["columns", "index", "split", "records", "table", "list"])
def test_json_in_each_of_the_ways_of_pandas_is_a_table(orient: str, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(TWO, columns=["start", "end", "label"])
    path = tmp_path / "s.json"
    if orient == "list":
        path.write_text(json.dumps(table.to_dict(orient="list")))
    else:
        table.to_json(path, orient=orient)
    assert spans_of(path, ends="half-open") == TWO


@pytest.mark.parametrize(
    "header",
    ["Début;Fin;Type", "Inicio;Fin;Tipo", "opened_at;closed_at;side", "entry_dt;exit_dt;side"],
)
def test_names_of_ends_in_other_languages(header: str, tmp_path: Path) -> None:
    lines = [f"{clock(a)};{clock(b)};{word}" for a, b, word in TWO]
    (tmp_path / "s.csv").write_text(rows(header, *lines), encoding="utf-8")
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO
