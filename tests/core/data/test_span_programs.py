"""Lists of spans as programs write them: trades, charts, books of Excel."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from moola_core.data.spans_file import read_spans
from moola_core.data.times import Clock
from moola_core.errors import DataError
from tests.support.span_lists import BARS, FIRST, TWO, clock, rows, spans_of

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


def test_the_sheet_that_lists_spans_is_found(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["", "All USD", "Long USD"])  # TradingView's report begins with its sums
    book.create_sheet("empty")
    sheet = book.create_sheet("List of trades")
    sheet.append(["Exported by hand"])
    sheet.append([])
    sheet.append(["Trade #", "Type", "Date/Time", "Signal", "Price USD"])
    for number, (start, stop, _) in enumerate(TWO, 1):
        for what, bar in (("Exit", stop), ("Entry", start)):
            when = np.datetime64(clock(bar)).item()
            sheet.append([number, f"{what} long", when, "Long", 1.5])
    book.save(tmp_path / "s.xlsx")
    found = spans_of(tmp_path / "s.xlsx", ends="half-open")
    assert found == [(start, stop, "long") for start, stop, _ in TWO]


@pytest.mark.parametrize("day", ["2024-01-02", "2024-01-02 00:00:00"])
def test_times_of_day_stand_behind_the_day_of_their_row(day: str, tmp_path: Path) -> None:
    lines: Sequence[str] = [f"{day},{clock(a)[11:16]},{clock(b)[11:]},{w}" for a, b, w in TWO]
    (tmp_path / "s.csv").write_text(rows("Date,Start,End,Label", *lines))
    assert spans_of(tmp_path / "s.csv", ends="half-open") == TWO
