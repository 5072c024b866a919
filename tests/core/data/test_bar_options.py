"""Bars whose reading an option chooses: zone, column, stamp, fold, decimal comma."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moola_core.data import text_table
from moola_core.data.series import ReadOptions, open_bars, read_bars
from moola_core.errors import DataError
from tests.support.bar_texts import OHLC, assert_read, text


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (
            text(f"timestamp,{OHLC}", "2024-01-02 09:30", "2024-01-02 09:31"),
            ReadOptions(tz="America/New_York"),
        ),
        (
            text(f"timestamp,{OHLC}", "01/02/2024 14:30", "01/02/2024 14:31"),
            ReadOptions(dates="mdy"),
        ),
        (
            text(f"x,{OHLC},when", "1", "2", end=",1704205800").replace(
                "101.25,1704205800", "101.25,1704205860"
            ),
            ReadOptions(time_column="when"),
        ),
        (text(f"time,{OHLC}", "1704205860", "1704205920"), ReadOptions(stamp="close")),
        (
            text(
                f"timestamp, {OHLC}, note", "2024-01-02T14:30Z", "2024-01-02T14:31Z", end=',"a, b"'
            ),
            ReadOptions(),
        ),
        (
            text(f'timestamp,{OHLC},"a, b"', "2024-01-02T14:30Z", "2024-01-02T14:31Z", end=",1"),
            ReadOptions(),
        ),
        (text(f"Zeit,{OHLC}", "02.01.2024 14:30", "02.01.2024 14:31"), ReadOptions()),
        (text(f"kline_start,{OHLC}", "1704205800000", "1704205860000"), ReadOptions()),
        (
            text(
                f"expiry,bar,{OHLC}", "2024-03-15,2024-01-02 14:30", "2024-03-15,2024-01-02 14:31"
            ),
            ReadOptions(),
        ),
        (text(f"Time (EST),{OHLC}", "2024-01-02 09:30", "2024-01-02 09:31"), ReadOptions()),
        (
            text(f"Bar (America/New_York),{OHLC}", "2024-01-02 09:30", "2024-01-02 09:31"),
            ReadOptions(),
        ),
        (
            text(f"Time (CST),{OHLC}", "2024-01-02 08:30", "2024-01-02 08:31"),
            ReadOptions(tz="America/Chicago"),
        ),
        (
            text(f"timestamp,{OHLC}", "01/13/2024 2:30:00 PM", "x")
            .replace("x", "01/13/2024 2:31 p.m.")
            .replace("01/13", "01/02"),
            ReadOptions(dates="mdy"),
        ),
        (text(f"timestamp,{OHLC}", "02-Jan-2024 14:30", "02-Jan-2024 14:31"), ReadOptions()),
        (
            text(f"timestamp,{OHLC}", '"Jan 2, 2024 14:30"', '"January 2, 2024 14:31"'),
            ReadOptions(),
        ),
        (
            text(
                f"timestamp,{OHLC}",
                '"Tue, 02 Jan 2024 14:30:00 GMT"',
                '"Tue, 02 Jan 2024 14:31:00 GMT"',
            ),
            ReadOptions(),
        ),
        (text(f"timestamp,{OHLC}", "1704205800", "1704205860", sep="^"), ReadOptions()),
        (text(f"timestamp,{OHLC}", "1704205800", "1704205860", sep="~"), ReadOptions()),
        (text(f"timestamp,{OHLC}", "2024-01-02T14:30", "2024-01-02T14:31", sep=" "), ReadOptions()),
        (text(f"timestamp,{OHLC}", "202401021430", "202401021431"), ReadOptions()),
        (text(f"timestamp,{OHLC}", "20240102143000", "20240102143100"), ReadOptions()),
        (text(f"timestamp,{OHLC}", "1.7042058e9", "1.70420586e9"), ReadOptions()),
        (
            "sep=;\n"
            + text(f"timestamp,{OHLC}", "2024-01-02 14:30", "2024-01-02 14:31", sep=";").replace(
                ".", ","
            ),
            ReadOptions(),
        ),
    ],
)
def test_what_is_named_is_done(content: str, options: ReadOptions, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(content)
    assert_read(path, options)


@pytest.mark.parametrize(("fold", "hours"), [("0", [5, 5, 5]), ("1", [6, 6, 6])])
def test_a_fold_is_chosen(fold: str, hours: list[int], tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    rows = "".join(f"2024-11-03 01:{minute},1,2,0.5,1\n" for minute in (10, 20, 30))
    path.write_text(f"timestamp,{OHLC}\n{rows}")
    time = read_bars(path, ReadOptions(tz="America/New_York", fold=fold)).time  # type: ignore[arg-type]
    assert time is not None
    assert (time // 3_600_000_000_000 % 24).tolist() == hours


@pytest.mark.parametrize("turned", [False, True])
def test_rows_in_order_choose_the_fold(turned: bool, tmp_path: Path) -> None:
    import pandas as pd

    index = pd.date_range("2024-11-03 04:00", periods=40, freq="10min", tz="UTC")
    index = index[::-1] if turned else index
    local = index.tz_convert("America/New_York").tz_localize(None)
    table = pd.DataFrame(1.0, columns=OHLC.split(","), index=local.rename("timestamp"))
    table.to_csv(tmp_path / "bars.csv")
    options = ReadOptions(tz="America/New_York", fold="order")
    time = read_bars(tmp_path / "bars.csv", options).time
    assert time is not None
    assert (time == np.sort(index.as_unit("ns").asi8)).all()


@pytest.mark.parametrize(
    ("rows", "delimiter", "high"),
    [
        ("1,100;1,102;1,099;1,1", ";", 1.102),  # decimal: no thousands beside a semicolon
        ('"1,100","1,102","1,099","1,100"', ",", 1102.0),
        ('"1,100.5","1,102.5","1,099.25","1,100.5"', ",", 1102.5),
        ("1.100,5;1.102,5;1.099,25;1.100,5", ";", 1102.5),
    ],
)
def test_a_comma_is_for_thousands_or_for_decimals(
    rows: str, delimiter: str, high: float, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    header = delimiter.join(["time", *OHLC.split(",")])
    path.write_text(f"{header}\n1704205800{delimiter}{rows}\n1704205860{delimiter}{rows}\n")
    assert read_bars(path).prices[:, 1].tolist() == [high, high]


@pytest.mark.parametrize(
    ("first", "then", "delimiter", "price"),
    [
        ("999.50", '"1,000.50"', ",", 1000.5),
        ("999.50", '"1,000"', ",", 1000.0),
        ("999", '"1,001"', ",", 1001.0),  # not 1.001: prices don't fall so far
        ("999", "1,001", ";", 1001.0),
        ("1", "1,001", ";", 1.001),
        ("100", "100,5", ";", 100.5),
        ("100", '"100,25"', ",", 100.25),
        ("-100", '"-1,000"', ",", -1000.0),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [1 << 22, 400])
def test_a_comma_may_come_after_the_first_rows(  # noqa: PLR0913
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    first: str,
    then: str,
    delimiter: str,
    price: float,
    chunk_bytes: int,
) -> None:
    monkeypatch.setattr(text_table, "BLOCK_BYTES", chunk_bytes)
    path = tmp_path / "bars.csv"
    rows = [delimiter.join([f"{1704205800 + 60 * i}", *[first] * 4]) for i in range(30)]
    rows += [delimiter.join([f"{1704207600 + 60 * i}", *[then] * 4]) for i in range(30)]
    path.write_text("\n".join([delimiter.join(["time", *OHLC.split(",")]), *rows, ""]))
    assert read_bars(path).prices[:, 3].tolist() == [float(first)] * 30 + [price] * 30


def test_a_comma_is_not_decimal_where_a_point_was(tmp_path: Path) -> None:
    rows = [f"{1704205800 + 60 * i};1.100;1.100;1.100;1.100" for i in range(30)]
    rows.append("1704207600;1.100,5;1.100,5;1.100,5;1.100,5")
    (tmp_path / "bars.csv").write_text("\n".join(["time;open;high;low;close", *rows, ""]))
    with pytest.raises(DataError, match=r"row 30, column open: expected .* got '1.100,5'"):
        read_bars(tmp_path / "bars.csv")


@pytest.mark.parametrize("gap", [" ", "\u00a0", "\u2009", "\u202f", "'", "\u2019"])
@pytest.mark.parametrize("point", [".", ","])
def test_blanks_and_apostrophes_stand_between_thousands(
    gap: str, point: str, tmp_path: Path
) -> None:
    row = ";".join([f"1{gap}234{gap}567{point}5", f"1{gap}234{gap}568", "999", f"1{gap}000"])
    (tmp_path / "bars.csv").write_text(
        f"time;{OHLC.replace(',', ';')}\n1704205800;{row}\n1704205860;{row}\n", encoding="utf-8"
    )
    assert read_bars(tmp_path / "bars.csv").prices[1].tolist() == [1234567.5, 1234568, 999, 1000]


@pytest.mark.parametrize("price", ["1 23", "1 2345", "12'34.5"])
def test_other_gaps_in_a_price_are_refused(price: str, tmp_path: Path) -> None:
    row = f"{price};{price};{price};{price}"
    (tmp_path / "bars.csv").write_text(
        f"time;{OHLC.replace(',', ';')}\n1704205800;{row}\n1704205860;{row}\n"
    )
    with pytest.raises(DataError, match=f"row 0, column open: expected a number, got '?\"?{price}"):
        read_bars(tmp_path / "bars.csv")


@pytest.mark.parametrize(("name", "scale"), [("ts_event", 1e-9), ("time", 1.0)])
def test_prices_in_units_of_1e_9_go_by_the_name_of_their_time(
    name: str, scale: float, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    price = 100_250_000_000
    path.write_text(f"{name},{OHLC}\n1704205800000000000{f',{price}' * 4}\n")
    file = open_bars(path)
    assert next(file.chunks()).prices[0, 0] == price * scale
    assert ("prices in units of 1e-9" in file.describe()) == (scale < 1)


def test_whole_prices_beside_ts_event_are_prices(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(f"ts_event,{OHLC}\n1704205800000000000,17000,17001,16999,17000\n")
    assert read_bars(path).prices[0, 0] == 17000


@pytest.mark.parametrize(("name", "column"), [("tradingview", "date"), ("table", "time")])
def test_a_named_layout_is_taken(name: str, column: str, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(text(f"{column},{OHLC}", "2024-01-02 14:30", "2024-01-02 14:31"))
    assert_read(path, ReadOptions(layout=name), f"read as: {name}, ")
