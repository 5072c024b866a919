"""Bars as programs and web sites export them: footers, forms of times, names, days, scales."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from moola_core.data.bars_between import by_opens
from moola_core.data.series import Bars, ReadOptions, open_bars, read_bars
from moola_core.data.series_checks import JUMPS, check_series
from moola_core.data.times import Dates
from moola_core.errors import DataError
from tests.support.bar_texts import OHLC, PRICES, ROWS, assert_read, text

UTC = ("2024-01-02 14:30", "2024-01-02 14:31")
BARCHART = '"Downloaded from Barchart.com as of 01-02-2024 04:15pm CST"\n'


@pytest.mark.parametrize("footer", [BARCHART, BARCHART.replace('"', ""), "(2 rows)\n", "Total: 2"])
@pytest.mark.parametrize("before", ["", "\n", ",,,,,,,\n"])
@pytest.mark.parametrize("last", ["Last", "Latest"])
def test_a_line_of_text_below_the_bars_is_none(
    last: str, before: str, footer: str, tmp_path: Path
) -> None:
    header = f"Time,Open,High,Low,{last},Change,%Chg,Volume"
    content = text(header, *UTC, end=",0.5,0.5%,1000") + before + footer
    (tmp_path / "bars.csv").write_text(content)
    assert_read(tmp_path / "bars.csv")


@pytest.mark.parametrize(
    ("below", "says"),
    [
        (f"Total\n2024-01-02 14:32,{ROWS[1]}\n", "row 2: expected 5 values a row, got 1: 'Total'"),
        ("AAP", "row 2: expected 5 values a row, got 1: 'AAP'; is the file cut short"),
        ("2024-01-02 14", "row 2: expected 5 values a row, got 1"),  # a file that was cut short
        ("2024-01-02 14:32,100.75\n", "row 2: expected 5 values a row, got 2"),
    ],
)
def test_a_short_row_that_is_no_footer_is_refused(below: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(text(f"time,{OHLC}", *UTC) + below)
    with pytest.raises(DataError, match=says):
        read_bars(tmp_path / "bars.csv")


TIMES = {
    "javascript": "Tue Jan 02 2024 09:{mi}:00 GMT-0500 (Eastern Standard Time)",
    "c": "Tue Jan  2 14:{mi}:00 2024",
    "unix": "Tue Jan  2 14:{mi}:00 UTC 2024",
    "oracle": "02-JAN-24 02.{mi}.00.000000 PM",
    "oracle with an offset": "02-JAN-24 09.{mi}.00.000000000 AM -05:00",
    "oracle with a zone": "02-JAN-24 09.{mi}.00.000000000 AM America/New_York",
    "oracle in capitals": "02-JAN-24 09.{mi}.00.000000000 AM AMERICA/NEW_YORK",
    "sas": "02JAN2024:14:{mi}:00",
    "a server's log": "02/Jan/2024:14:{mi}:00 +0000",
    "year and month first": "2024-Jan-02 14:{mi}",
    "month first": "Jan-02-2024 14:{mi}",
    "german": "2. Januar 2024 14:{mi}",
    "a zone with a month": "2024-01-02 05:{mi}:00 America/Juneau",
    "italian": "02-01-2024 14.{mi}",
    "italian with seconds": "02.01.2024 14.{mi}.00",
    "tickstory": "20240102 14:{mi}:00:000",
    "interactive brokers": "20240102;14{mi}00",
}


@pytest.mark.parametrize("name", TIMES)
def test_times_as_programs_write_them(name: str, tmp_path: Path) -> None:
    times = [TIMES[name].format(mi=mi) for mi in (30, 31)]
    (tmp_path / "bars.csv").write_text(text(f"time,{OHLC}", *times))
    assert_read(tmp_path / "bars.csv", ReadOptions(dates="dmy"))


@pytest.mark.parametrize(
    "name", ["javascript", "c", "unix", "sas", "a server's log", "year and month first", "german"]
)
def test_the_same_is_the_time_in_a_column_of_any_name(name: str, tmp_path: Path) -> None:
    times = [TIMES[name].format(mi=mi) for mi in (30, 31)]
    (tmp_path / "bars.csv").write_text(text(f"seen,{OHLC}", *times))
    assert_read(tmp_path / "bars.csv")


@pytest.mark.parametrize(("year", "full"), [("62", 1962), ("99", 1999), ("00", 2000), ("24", 2024)])
def test_a_year_of_two_digits_is_none_to_come(year: str, full: int, tmp_path: Path) -> None:
    times = [f"02-Jan-{year}", f"03-Jan-{year}"]
    (tmp_path / "bars.csv").write_text(text(f"date,{OHLC}", *times))
    time = read_bars(tmp_path / "bars.csv").time
    assert time is not None
    assert str(time.astype("datetime64[ns]")[0])[:10] == f"{full}-01-02"


@pytest.mark.parametrize(
    "header",
    [
        "startTime,openPrice,highPrice,lowPrice,closePrice",  # Bybit
        "Dates,PX_OPEN,PX_HIGH,PX_LOW,PX_LAST",  # Bloomberg
        "Date,Open Price,High Price,Low Price,Last Price",
        "时间,开盘,最高,最低,收盘",  # AKShare
        "日時,始値,高値,安値,終値",
        "时间,开盘价,最高价,最低价,收盘价",
        "Data,Apertura,Massimo,Minimo,Ultimo",
        "Data,Abertura,Máxima,Mínima,Último",
        "Datum,Eröffn.,Hoch,Tief,Zuletzt",
    ],
)
def test_names_of_columns_of_exports(header: str, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text(text(header, *UTC), encoding="utf-8")
    assert_read(tmp_path / "bars.csv")


def test_two_dots_in_a_price_are_for_thousands(tmp_path: Path) -> None:
    lines = [f"{UTC[0]};58.123.000;58.200.000;999.500;58.100.000", f"{UTC[1]};1;3;1;2"]
    (tmp_path / "bars.csv").write_text("\n".join([f"time,{OHLC}".replace(",", ";"), *lines]))
    prices = read_bars(tmp_path / "bars.csv").prices
    assert prices.tolist() == [[58_123_000, 58_200_000, 999_500, 58_100_000], [1, 3, 1, 2]]


@pytest.mark.parametrize("month", [3, 11])
@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "UTC"])
def test_days_stamped_at_their_close_open_at_the_same_hour(
    month: int, zone: str, tmp_path: Path
) -> None:
    pd = pytest.importorskip("pandas")
    days = pd.date_range(f"2024-{month:02}-01", periods=35, freq="D", unit="ns")
    lines = [f"{day:%Y-%m-%d},{ROWS[0]}" for day in days]
    (tmp_path / "bars.csv").write_text("\n".join([f"date,{OHLC}", *lines]))
    time = read_bars(tmp_path / "bars.csv", ReadOptions(tz=zone, stamp="close")).time
    at = (days - pd.Timedelta("1D")).tz_localize(zone, nonexistent="shift_forward")
    assert time is not None
    assert time.tolist() == at.asi8.tolist()
    closes = days.tz_localize(zone, nonexistent="shift_forward").asi8
    assert by_opens(closes, time).tolist() == time.tolist()  # as spans have them


def test_a_jump_to_another_scale_is_counted() -> None:
    prices = np.repeat(PRICES[:1], 8, axis=0) * np.array([1] * 4 + [10] * 4)[:, None]
    found = [one for one in check_series(Bars(prices, None)) if one.name == JUMPS]
    assert [(one.count, one.row, one.note) for one in found] == [(1, 4, "from 100.75 to 1002.5")]
    assert not found[0].is_fault
    assert [one.count for one in check_series(Bars(prices[:4], None)) if one.name == JUMPS] == [0]


def test_a_table_of_yfinance_without_its_index_is_read(tmp_path: Path) -> None:
    lines = ["Datetime,Open,High,Low,Close,Volume", ",AAPL,AAPL,AAPL,AAPL,AAPL"]
    lines += [f"{time}:00+00:00,{row},5" for time, row in zip(UTC, ROWS, strict=True)]
    (tmp_path / "bars.csv").write_text("\n".join(lines))
    assert_read(tmp_path / "bars.csv", None, "yfinance")


ONE = ["AAPL.{}", "AAPL {}", "AAPL_{}", "{}_AAPL", "{}.AAPL", "('AAPL', '{}')", "('{}', 'AAPL')"]


@pytest.mark.parametrize("form", ONE)
@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_names_of_prices_may_say_the_instrument(form: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"bars.{kind}"
    write(path, form)
    assert_read(path, ReadOptions(symbol="AAPL"), "symbol AAPL")
    assert_read(path, None)


@pytest.mark.parametrize("form", ONE)
@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_of_the_prices_of_two_instruments_those_of_one_are_chosen(
    form: str, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"bars.{kind}"
    write(path, form, "MSFT")
    with pytest.raises(DataError, match=r"prices of 2 instruments \(AAPL, MSFT\), expected one"):
        open_bars(path)
    assert_read(path, ReadOptions(symbol="AAPL"))
    other = read_bars(path, ReadOptions(symbol="MSFT"))
    np.testing.assert_array_equal(other.prices, PRICES + 7)


@pytest.mark.parametrize(
    ("form", "short"),
    [
        *(("Bid{},Ask{}", False), ("bid_{},ask_{}", False)),
        *(("bid.{},ask.{}", False), ("bid.{},ask.{}", True)),  # bid.o, of OANDA
    ],
)
def test_bids_are_chosen_beside_asks(form: str, short: bool, tmp_path: Path) -> None:
    bid, ask = form.split(",")
    words = [word[0] if short else word for word in OHLC.split(",")]
    names = [one.format(word) for one in (bid, ask) for word in words]
    rows = [
        f"{time},{row},{','.join(map(str, more))}"
        for time, row, more in zip(UTC, ROWS, PRICES + 1, strict=True)
    ]
    (tmp_path / "bars.csv").write_text("\n".join([",".join(["time", *names]), *rows]))
    assert_read(tmp_path / "bars.csv", ReadOptions(symbol="bid"))
    np.testing.assert_array_equal(
        read_bars(tmp_path / "bars.csv", ReadOptions(symbol="ask")).prices, PRICES + 1
    )


def write(path: Path, form: str, other: str = "") -> None:
    """Write bars of AAPL, and of another instrument 7 above, under names of a form."""
    words = ["Open", "High", "Low", "Close"]
    times = pa.array(np.array(UTC, dtype="datetime64[us]"))
    columns = {form.format(word): PRICES[:, i] for i, word in enumerate(words)}
    if other:
        name = form.replace("AAPL", other)
        columns |= {name.format(word): PRICES[:, i] + 7 for i, word in enumerate(words)}
    table = pa.table({"time": times, **columns})
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        pyarrow.feather.write_feather(table, path)


LEAN = [
    f"{ms},{','.join(f'{10_000 * one:.0f}' for one in row)}"
    for ms, row in zip((52_200_000, 52_260_000), PRICES.tolist(), strict=True)
]


@pytest.mark.parametrize("kind", ["trade", "quote"])
def test_bars_of_lean_count_from_the_midnight_of_the_day_in_their_name(
    kind: str, tmp_path: Path
) -> None:
    end = ",500" if kind == "trade" else ",5,1100000,1110000,1090000,1100000,7"
    path = tmp_path / f"20240102_{kind}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"20240102_spy_minute_{kind}.csv", "".join(f"{one}{end}\n" for one in LEAN)
        )
    name = "lean" if kind == "trade" else "lean-quote"
    assert_read(path, None, f"read as: {name}, ")
    assert_read(path, ReadOptions(tz="UTC"), "stamp = open, prices in units of 1e-4")
    time = read_bars(path, ReadOptions(tz="America/New_York")).time
    assert time is not None
    assert str(time[0].astype("datetime64[ns]")).startswith("2024-01-02T19:30")


def test_bars_of_lean_that_have_no_day_in_their_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_text("".join(f"{one},500\n" for one in LEAN))
    with pytest.raises(DataError):
        read_bars(tmp_path / "bars.csv")


@pytest.mark.parametrize("form", ["Jan {} 2024", "{}-Jan-2024", "{} January 2024", "Jan {}, 2024"])
@pytest.mark.parametrize("dates", ["dmy", "mdy"])
def test_names_of_months_are_read_whatever_dates_says_of_numbers(
    form: str, dates: Dates, tmp_path: Path
) -> None:
    times = [f'"{form.format("02")} {time[11:]}"' for time in UTC]
    (tmp_path / "bars.csv").write_text(text(f"time,{OHLC}", *times))
    assert_read(tmp_path / "bars.csv", ReadOptions(dates=dates))


def test_buckets_of_bitmex_are_stamped_at_their_end(tmp_path: Path) -> None:
    header = f"timestamp,symbol,{OHLC},trades,volume,vwap,homeNotional,foreignNotional"
    lines = [f"2024-01-02T14:3{i + 1}:00.000Z,XBTUSD,{ROWS[i]},1,1,1,1,1" for i in range(2)]
    (tmp_path / "bars.csv").write_text("\n".join([header, *lines]))
    assert_read(tmp_path / "bars.csv", None, "UTC, stamp = close")


def test_of_four_times_of_a_day_its_open_counts(tmp_path: Path) -> None:
    """As CoinMarketCap exports days."""
    header = "timeOpen;timeClose;timeHigh;timeLow;name;open;high;low;close;volume;timestamp"
    lines = [
        f"{day}T00:00:00.000Z;{day}T23:59:59.999Z;{day}T03:00:00.000Z;{day}T05:00:00.000Z;"
        f"2781;{ROWS[0].replace(',', ';')};7;{day}T23:59:59.999Z"
        for day in ("2024-01-02", "2024-01-03")
    ]
    (tmp_path / "bars.csv").write_text("\n".join([header, *lines]))
    time = read_bars(tmp_path / "bars.csv").time
    assert time is not None
    days = np.array(["2024-01-02", "2024-01-03"], dtype="datetime64[ns]")
    assert time.tolist() == days.astype(np.int64).tolist()


def test_days_in_japanese_are_times(tmp_path: Path) -> None:
    times = [f"2024年01月02日 {time[11:]}" for time in UTC]
    header = "日付け,始値,高値,安値,終値"
    (tmp_path / "bars.csv").write_text(text(header, *times), encoding="utf-8")
    assert_read(tmp_path / "bars.csv")
