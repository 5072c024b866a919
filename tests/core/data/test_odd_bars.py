"""Bars as people and libraries write them that were once read wrongly, or without their times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moola_core.data.series import ReadOptions, read_bars
from moola_core.data.times import Dates
from moola_core.errors import DataError

FIRST = 1_704_205_800  # 2024-01-02 14:30 UTC
OHLC = "open,high,low,close"
ROWS = ("100.25,101.5,99.5,100.75", "100.75,102,100.5,101.25")


def written(path: Path, header: str, *times: str) -> Path:
    rows = [f"{time},{prices}" for time, prices in zip(times, ROWS, strict=True)]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def assert_times(path: Path, options: ReadOptions | None = None) -> None:
    bars = read_bars(path, options)
    assert bars.time is not None
    assert (bars.time // 10**6).tolist() == [FIRST * 1000, (FIRST + 60) * 1000]
    assert bars.prices.tolist() == [[100.25, 101.5, 99.5, 100.75], [100.75, 102.0, 100.5, 101.25]]


@pytest.mark.parametrize(
    ("times", "dates"),
    [
        (("02/01/24 14:30", "02/01/24 14:31"), "dmy"),  # pandas' date_format="%d/%m/%y %H:%M"
        (("1/2/24 14:30", "1/2/24 14:31"), "mdy"),  # Excel's own m/d/yy h:mm
        (("02.01.24 14:30", "02.01.24 14:31"), "dmy"),
        (("2-Jan-24 14:30", "2-Jan-24 14:31"), None),  # Excel's d-mmm-yy
    ],
)
@pytest.mark.parametrize("name", ["", "Date"])
def test_years_of_two_digits_are_read_where_the_order_is_known(
    times: tuple[str, str], dates: Dates | None, name: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "bars.csv", f"{name},{OHLC}", *times)
    assert_times(path, ReadOptions(dates=dates))
    if dates is not None:
        with pytest.raises(DataError, match="say which: --dates dmy or --dates mdy"):
            read_bars(path)


@pytest.mark.parametrize("times", [("24-01-02", "24-01-03"), ("14:30 2/1", "14:31 2/1")])
@pytest.mark.parametrize("name", ["", "Zeitpunkt"])
def test_what_may_be_a_time_is_not_lost(times: tuple[str, str], name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "bars.csv", f"{name},{OHLC}", *times)
    with pytest.raises(DataError, match=r"expected (a time|one) like 2024-01-31"):
        read_bars(path)


def test_the_day_of_a_year_is_no_month_and_day(tmp_path: Path) -> None:
    path = written(tmp_path / "bars.csv", f"time,{OHLC}", "2024-123 14:30", "2024-123 14:31")
    with pytest.raises(DataError, match="row 0, column time: expected a time like"):
        read_bars(path)  # 2024-12-03 it was


@pytest.mark.parametrize(
    ("rows", "day", "first"),
    [
        # QuantConnect's Lean, hours in units of 1e-4; a daily index in points; a day and a clock.
        (["20240102 00:00,998100,998300,998000,998200,7"] * 2, "2024-01-02T00:00", 998100),
        (["2024-01-02,1430,1450,1420,1440,1000"] * 2, "2024-01-02T00:00", 1430),
        (["20240102,0930,1450,1455,1440,1445,9"] * 2, "2024-01-02T09:30", 1450),
        (["01.02.2024,9:30,1450,1455,1440,1445,9"] * 2, "2024-02-01T09:30", 1450),
    ],
)
def test_a_whole_price_behind_a_day_is_no_time_of_day(
    rows: list[str], day: str, first: float, tmp_path: Path
) -> None:
    later = [rows[0], rows[1].replace("02", "03", 1).replace("01.03", "02.02")]
    (tmp_path / "bars.csv").write_text("\n".join(later) + "\n")
    bars = read_bars(tmp_path / "bars.csv")
    assert bars.time is not None
    assert str(bars.time[0].astype("datetime64[ns]").astype("datetime64[m]")) == day
    assert bars.prices[0, 0] == first


def test_days_of_another_count_are_not_excels(tmp_path: Path) -> None:
    path = written(tmp_path / "bars.csv", f"time,{OHLC}", "19724", "19725")  # days since 1970
    with pytest.raises(DataError, match="row 0, column time: expected a time like"):
        read_bars(path)


def test_a_dash_says_no_more_of_day_and_month_than_a_slash(tmp_path: Path) -> None:
    times = ("01-02-2024 14:30", "01-02-2024 14:31")
    path = written(tmp_path / "bars.csv", f"time,{OHLC}", *times)
    assert_times(path, ReadOptions(dates="mdy"))
    with pytest.raises(DataError, match="'01-02-2024 14:30' may be day or month first"):
        read_bars(path)
    days = written(tmp_path / "days.csv", f"time,{OHLC}", "01-12-2024", "01-13-2024")
    time = read_bars(days).time
    assert time is not None
    assert str(time[0].astype("datetime64[ns]"))[:10] == "2024-01-12"


def test_the_time_of_a_bars_open_goes_before_any_other(tmp_path: Path) -> None:
    header = f"timestamp,open_time,{OHLC}"
    times = (f"{FIRST + 7},{FIRST}", f"{FIRST + 67},{FIRST + 60}")
    assert_times(written(tmp_path / "bars.csv", header, *times))


@pytest.mark.parametrize("end", ["999", "999999"])
def test_a_close_inside_its_bar_is_its_end(end: str, tmp_path: Path) -> None:
    times = (f"{FIRST + 59}{end}", f"{FIRST + 119}{end}")  # Binance's close_time
    assert_times(written(tmp_path / "bars.csv", f"close_time,{OHLC}", *times))


@pytest.mark.parametrize(
    ("first", "second", "clocks"),
    [("0930", "0931", (930, 931)), ("1000", "1001", (1000, 1001)), ("0000", "0001", (0, 1))],
)
@pytest.mark.parametrize("seconds", [False, True])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_whole_numbers_are_times_of_day_that_have_lost_their_zeros(
    first: str, second: str, clocks: tuple[int, int], seconds: bool, kind: str, tmp_path: Path
) -> None:
    # The last bars of the day are there, so that HHMM and HHMMSS can be distinguished.
    numbers = [one * 100 if seconds else one for one in (*clocks, 2358)]
    columns = {name: [1.0] * 3 for name in OHLC.split(",")}
    table = pa.table({"date": ["20240102"] * 3, "time": numbers, **columns})
    if kind == "parquet":
        pq.write_table(table, tmp_path / "bars")
    else:
        lines = [",".join(str(value) for value in row.values()) for row in table.to_pylist()]
        (tmp_path / "bars").write_text(f"date,time,{OHLC}\n" + "\n".join(lines) + "\n")
    time = read_bars(tmp_path / "bars").time
    assert time is not None
    texts = np.datetime_as_string(time.astype("datetime64[ns]"), "m")
    expected = [f"{one[:2]}:{one[2:]}" for one in (first, second, "2358")]
    assert [text[-5:] for text in texts] == expected


def test_times_in_a_unit_that_they_do_not_count_are_refused(tmp_path: Path) -> None:
    # fastparquet's int96 of pandas' microseconds: read as nanoseconds they are of January 1970.
    times = pa.array((FIRST + 60 * np.arange(3)) * 10**6, pa.timestamp("ns"))
    columns = {name: [1.0] * 3 for name in OHLC.split(",")}
    pq.write_table(pa.table({"ts": times, **columns}), tmp_path / "bars.parquet")
    with pytest.raises(DataError, match="column ts: times from 1970-01-20"):
        read_bars(tmp_path / "bars.parquet")


def test_prices_with_a_currency_and_names_of_excel_are_read(tmp_path: Path) -> None:
    header = "Date,Close/Last,Volume,Open,High,Low"  # nasdaq.com
    rows = ["01/03/2024,$101.25,5,$100.75,$102,$100.5", "01/02/2024,$100.75,5,$100.25,$101.5,$99.5"]
    (tmp_path / "bars.csv").write_text("\n".join([header, *rows]))
    prices = read_bars(tmp_path / "bars.csv", ReadOptions(dates="mdy")).prices
    assert prices.tolist() == [[100.25, 101.5, 99.5, 100.75], [100.75, 102.0, 100.5, 101.25]]
    text = "Datum;Eröffnung;Hoch;Tief;Schluss\n02.01.2024 14:30;1,1;1,3;1,0;1,2\n"
    (tmp_path / "bars.csv").write_bytes(text.encode("cp1252"))
    assert read_bars(tmp_path / "bars.csv").prices.tolist() == [[1.1, 1.3, 1.0, 1.2]]
    text += "Summe: zehn Stück;10\n"
    (tmp_path / "bars.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(DataError, match="row 1: expected 5 values a row, got 2: 'Summe: zehn St"):
        read_bars(tmp_path / "bars.csv")


@pytest.mark.parametrize(
    "zone",
    [
        *("Z[UTC]", "+00:00[UTC]", "+0000 UTC"),
        *("-05:00[America/New_York]", "-0500 EST", "+01:00[Europe/Berlin]", "-03:00[Etc/GMT+3]"),
    ],
)
def test_an_offset_counts_where_the_zone_is_named_behind_it(zone: str, tmp_path: Path) -> None:
    hour = 14 + (0 if zone[0] == "Z" else int(zone[:3]))
    times = [f"2024-01-02 {hour}:3{i}:00{' ' * (' ' in zone)}{zone}" for i in range(2)]
    assert_times(written(tmp_path / "bars.csv", f"time,{OHLC}", *times))


@pytest.mark.parametrize("zone", [" EST", "[UTC]", "Z[UTC", "Z[UTC][UTC]"])
def test_a_zone_alone_behind_a_time_is_refused(zone: str, tmp_path: Path) -> None:
    times = [f"2024-01-02 14:3{i}:00{zone}" for i in range(2)]
    with pytest.raises(DataError, match="row 0, column time: expected a time like"):
        read_bars(written(tmp_path / "bars.csv", f"time,{OHLC}", *times))


@pytest.mark.parametrize("text", ['[{"open": 1}]', '[\n\t{"open": 1}\n]', "[[1704205800, 1, 2]]"])
def test_json_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "bars.json").write_text(text)
    with pytest.raises(DataError, match=r"bars.json: JSON, expected CSV"):
        read_bars(tmp_path / "bars.json")


def test_a_column_named_data_and_rows_that_count_from_30000_are_no_times(tmp_path: Path) -> None:
    path = written(tmp_path / "bars.csv", f",data,{OHLC}", "30000,x", "30001,y")
    assert read_bars(path).time is None


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((20240102, 20240103), "2024-01-02T00:00:00"),
        ((202401021430, 202401021431), "2024-01-02T14:30:00"),
        ((20240102143000, 20240102143100), "2024-01-02T14:30:00"),
        ((20240102143000000, 20240102143100123), "2024-01-02T14:30:00"),  # with milliseconds
    ],
)
@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_whole_numbers_of_the_digits_of_a_date_are_dates(
    numbers: tuple[int, int], text: str, kind: pa.DataType, tmp_path: Path
) -> None:
    if kind == pa.float64() and numbers[0] > 2**53:
        pytest.skip("a float does not hold them")
    columns = {name: [1.0] * 2 for name in OHLC.split(",")}
    dates = pa.array(numbers).cast(kind)
    pq.write_table(pa.table({"date": dates, **columns}), tmp_path / "bars.parquet")
    time = read_bars(tmp_path / "bars.parquet").time
    assert time is not None
    assert str(time[0].astype("datetime64[ns]").astype("datetime64[s]")) == text
    assert time[1] % 10**9 == (123_000_000 if numbers[1] % 1000 == 123 else 0)


@pytest.mark.parametrize("number", [9_300_000_000, 2 * 10**13, 2 * 10**16])  # of 2264 and later
def test_numbers_beyond_the_times_that_there_are_are_refused(number: int, tmp_path: Path) -> None:
    path = written(tmp_path / "bars.csv", f"time,{OHLC}", f"{number}", f"{number + 60}")
    with pytest.raises(DataError, match=f"row 0, column time: expected a time .* got '{number}'"):
        read_bars(path)  # they overflowed, and were times of any year
