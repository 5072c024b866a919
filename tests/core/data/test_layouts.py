from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from moola_core.data.layouts import BARE, HEADED, NAMES
from moola_core.data.series import Bars, ReadOptions, open_bars, read_bars
from moola_core.errors import ConfigError, DataError, JobError

FILES = Path(__file__).parent / "bar_files"
FIRST = 1_704_205_800  # 2024-01-02 14:30 UTC
MINUTE = 60_000_000_000
# Two bars: 14:30 and 14:31 UTC, in New York 09:30 and 09:31.
PRICES = np.array([[100.25, 101.5, 99.5, 100.75], [100.75, 102.0, 100.5, 101.25]])


@pytest.fixture(scope="module")
def written() -> Bars:
    return read_bars(FILES / "databento.parquet")


def libraries() -> list[str]:
    return sorted(p.name for p in FILES.iterdir() if p.suffix not in (".md", ".zst", ".py"))


@pytest.mark.parametrize("name", libraries())
def test_what_a_library_wrote_is_read(name: str, written: Bars) -> None:
    options = ReadOptions(symbol="MSFT" if "two" in name else None)
    file = open_bars(FILES / name, options)
    chunks = list(file.chunks())
    prices = np.concatenate([chunk.prices for chunk in chunks])
    expected = written.prices * (2 if "two" in name else 1)
    np.testing.assert_allclose(prices, expected, rtol=1e-6 if "types" in name else 1e-12)
    assert file.bar_ns == MINUTE
    assert chunks[0].time is not None
    np.testing.assert_array_equal(np.concatenate([c.time for c in chunks]), written.time)
    layout = (
        name.split(".", maxsplit=1)[0]
        if "brokers" in name
        else name.split("-", maxsplit=1)[0].split(".", maxsplit=1)[0]
    )
    known = layout if layout in NAMES and name != "ccxt.csv" else "table"
    assert file.describe().startswith(f"read as: {'kraken-api' if 'kraken' in name else known}, ")


@pytest.mark.parametrize(
    "kind", ["csv", "csv.gz", "csv.zst", "csv.bz2", "csv.xz", "csv.zip", "parquet", "feather"]
)
def test_an_index_of_pandas_is_the_time(tmp_path: Path, kind: str) -> None:
    import pandas as pd

    index = pd.date_range("2024-01-02 09:30", periods=2, freq="min", tz="America/New_York")
    table = pd.DataFrame(PRICES, columns=["open", "high", "low", "close"], index=index)
    path = tmp_path / f"bars.{kind}"
    if kind == "parquet":
        table.to_parquet(path)
    elif kind == "feather":
        table.reset_index().to_feather(path)
    elif kind == "csv.zst":
        text = pa.CompressedOutputStream(str(path), "zstd")
        text.write(table.to_csv().encode())
        text.close()
    else:
        table.to_csv(path)
    assert_read(path)


def assert_read(path: Path, options: ReadOptions | None = None, says: str = "") -> None:
    file = open_bars(path, options)
    bars = next(file.chunks())
    assert bars.time is not None
    assert (bars.time // 10**9).tolist() == [FIRST, FIRST + 60]
    np.testing.assert_allclose(bars.prices, PRICES, rtol=1e-12)
    assert says in file.describe()


ROWS = ("100.25,101.5,99.5,100.75", "100.75,102,100.5,101.25")


def text(header: str, *times: str, end: str = "", sep: str = ",") -> str:
    rows = [f"{time},{prices}{end}" for time, prices in zip(times, ROWS, strict=True)]
    return "\n".join([header, *rows] if header else rows).replace(",", sep) + "\n"


OHLC = "open,high,low,close"
MT5 = text(
    "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>,<VOL>,<SPREAD>",
    "2024.01.02,14:30:00",
    "2024.01.02,14:31:00",
    end=",5,0,2",
    sep="\t",
)
CASES = {
    "metatrader5": (MT5, "no zone in the file, taken as UTC"),
    "metatrader4": (
        text("", "2024.01.02,14:30", "2024.01.02,14:31", end=",7"),
        "no zone in the file",
    ),
    "metatrader5-python": (
        text(
            f"time,{OHLC},tick_volume,spread,real_volume", "1704205800", "1704205860", end=",1,2,3"
        ),
        "seconds, UTC",
    ),
    "tradingview": (text(f"time,{OHLC},Volume", "1704205800", "1704205860", end=",3"), "seconds"),
    "dukascopy": (
        text(
            "Gmt time,Open,High,Low,Close,Volume",
            "02.01.2024 14:30:00.000",
            "02.01.2024 14:31:00.000",
            end=",3",
        ),
        "text, UTC",
    ),
    "dukascopy-local": (
        text(
            "Local time,Open,High,Low,Close,Volume",
            "02.01.2024 15:30:00.000 GMT+0100",
            "02.01.2024 15:31:00.000 GMT+0100",
            end=",3",
        ),
        "+01:00",
    ),
    "dukascopy-eet": (
        text(
            "Time (EET),Open,High,Low,Close,Volume ",
            "2024.01.02 16:30:00",
            "2024.01.02 16:31:00",
            end=",3",
        ),
        "EET",
    ),
    "massive": (
        (
            "ticker,volume,open,close,high,low,window_start,transactions\n"
            "AAPL,5,100.25,100.75,101.5,99.5,1704205800000000000,3\n"
            "AAPL,5,100.75,101.25,102,100.5,1704205860000000000,3\n"
        ),
        "nanoseconds, UTC",
    ),
    "massive-api": (
        (
            "v,vw,o,c,h,l,t,n\n5,100,100.25,100.75,101.5,99.5,1704205800000,3\n"
            "5,100,100.75,101.25,102,100.5,1704205860000,3\n"
        ),
        "milliseconds, UTC",
    ),
    "interactive-brokers": (
        text(
            f"date,{OHLC},volume,average,barCount",
            "20240102 09:30:00 US/Eastern",
            "20240102 09:31:00 US/Eastern",
            end=",1,2,3",
        ),
        "US/Eastern",
    ),
    "stooq": (
        (
            "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
            f"A.US,1,20240102,143000,{ROWS[0]},1,0\nA.US,1,20240102,143100,{ROWS[1]},1,0\n"
        ),
        "text",
    ),
    "kraken": (text("", "1704205800", "1704205860", end=",0.5,3"), "seconds, UTC"),
    "klines": (
        text(
            f"open_time,{OHLC},volume,close_time,quote_volume,count,taker_buy_volume,"
            "taker_buy_quote_volume,ignore",
            "1704205800000",
            "1704205860000",
            end=",1,1704205859999,1,1,1,1,0",
        ),
        "12 columns, milliseconds, UTC, stamp = open",
    ),
    "cryptodatadownload": (
        (
            "https://www.CryptoDataDownload.com\nunix,date,symbol,open,high,low,close,Volume BTC\n"
            f"1704205860000,2024-01-02 14:31:00,BTC/USD,{ROWS[1]},1\n"
            f"1704205800000,2024-01-02 14:30:00,BTC/USD,{ROWS[0]},1\n"
        ),
        "newest first, turned round",
    ),
    "table": (
        text(f"when,{OHLC}", "x", "y")
        .replace("when", "Date/Time")
        .replace("x", "2024-01-02 14:30")
        .replace("y,", "2024-01-02 14:31,"),
        "no zone",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_layout_is_recognised(name: str, tmp_path: Path) -> None:
    content, says = CASES[name]
    path = tmp_path / "bars.csv"
    path.write_text(content)
    assert_read(path, None, says)
    assert open_bars(path).describe().startswith(f"read as: {name}, ")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["metatrader5", "tradingview"])
def test_any_encoding_and_line_end(name: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(CASES[name][0].replace("\n", "\r\n").encode(encoding))
    assert_read(path)


EST = text("", "20240102 093000", "20240102 093100", end=",0", sep=";")


def test_two_layouts_without_a_header_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "bars.txt"
    path.write_text(EST)
    with pytest.raises(DataError, match="--layout histdata or ninjatrader"):
        open_bars(path)
    assert_read(path, ReadOptions(layout="histdata"), "Etc/GMT+5, stamp = open")
    path.write_text(
        EST.replace("093", "143").replace("143100", "143200").replace("143000", "143100")
    )
    assert_read(path, ReadOptions(layout="ninjatrader"), "stamp = close")


def test_the_name_of_a_file_tells_them_apart(tmp_path: Path) -> None:
    path = tmp_path / "DAT_ASCII_EURUSD_M1_2024.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("DAT_ASCII_EURUSD_M1_2024.csv", EST)
        archive.writestr("DAT_ASCII_EURUSD_M1_2024.txt", "gaps: none")
    assert_read(path, None, "histdata")
    path = tmp_path / "ES 03-24.Last.txt"
    path.write_text(EST)
    assert "ninjatrader" in open_bars(path).describe()


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


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (
            text(f"timestamp,{OHLC}", "03/04/2024 14:30", "03/04/2024 14:31"),
            {},
            "say which: --dates dmy",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-03-10 02:30", "2024-03-10 03:31"),
            {"tz": "America/New_York"},
            "row 0, column timestamp: expected a time that clocks in America/New_York show",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-11-03 01:30", "2024-11-03 01:31"),
            {"tz": "America/New_York"},
            "--fold 0 (the first), --fold 1",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-01-02", "2024-02-30"),
            {},
            "row 1, column timestamp: expected a time like",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-01-02", "2024-01-03"),
            {"tz": "Mars/Base"},
            "--tz Mars/Base: no such zone",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-01-02", "2024-01-03"),
            {"layout": "klines2"},
            "no such layout",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-01-02", "2024-01-03"),
            {"layout": "stooq"},
            "column date is missing, expected the layout stooq",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-01-02", "2024-01-03"),
            {"time_column": "when"},
            "--time-column when: no such column",
        ),
        (
            text(f"timestamp,{OHLC},close", "2024-01-02", "2024-01-03", end=",1"),
            {},
            "column close is there 2 times",
        ),
        (
            text(f"time,{OHLC},symbol", "1704205800", "1704205800", end=",A").replace(
                "101.25,A", "101.25,B"
            ),
            {},
            "say which: --symbol NAME",
        ),
        (
            text(f"time,{OHLC},symbol", "1704205800", "1704205860", end=",A"),
            {"symbol": "C"},
            "expected one of A",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-01-02", "2024-01-03")[:-14],
            {},
            "row 1: expected 5 values a row, got",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-01-02T14:30Z", "2024-01-02T14:31"),
            {},
            "row 1, column timestamp: expected a zone behind it, as other rows have",
        ),
        (
            text(f"a,b,{OHLC}", "2024-01-02,2024-01-02", "2024-01-03,2024-01-03"),
            {},
            "columns a, b may be the time, expected one of a known name; say which: --time-column",
        ),
        (
            text(f"Time (CST),{OHLC}", "2024-01-02", "2024-01-03"),
            {},
            "column Time (CST): CST is the name of no one zone",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-01-02 13:30 PM", "2024-01-02"),
            {},
            "row 0, column timestamp: expected a time like",
        ),
        (
            text(f"timestamp,{OHLC}", "2024-01-02", "2024-01-03").replace("101.25", ""),
            {},
            "row 1, column close: expected a number, got nothing; leave such bars out:",
        ),
        (
            "time;open;high;low;close\n2024-01-02;1,5;2,5;1,25;1,5\n2024-01-03;1.234.5;2;1;1,5\n",
            {},
            "row 1, column open: expected a number with a comma for decimals, as above, got",
        ),
        ("a,b\n1,2\n", {}, "no table of bars"),
        ("", {}, "holds no bar"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    content: str, options: dict[str, str], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(content)
    with pytest.raises(JobError) as caught:
        read_bars(path, ReadOptions(**options))  # type: ignore[arg-type]
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


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
    ("name", "content", "expected"),
    [
        ("bars.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("bars.csv.gz", gzip.compress(b"x" * 10_000, mtime=0)[:-10], "not readable"),
        ("bars.feather", b"x", "expected Arrow IPC"),
        ("bars.csv", b"a\0b", "neither text"),
        ("bars.json", b'[{"open": 1}]', "JSON, expected CSV"),
        ("bars.avro", b"Obj\x01xxxx", "Avro, expected CSV"),
    ],
)
def test_another_kind_of_file_is_named(
    name: str, content: bytes, expected: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=expected):
        read_bars(tmp_path / name)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("open", "x", "row 1, column open: expected a number, got 'x'"),
        ("open", "", "row 1, column open: expected a number, got nothing"),
        ("high", "0", "row 1, column high: expected at least open and close"),
        ("time", "noon", "row 1, column time: expected a time like"),
        ("time", "2024-03-10 02:30", "row 1, column time: expected a time that clocks in"),
    ],
)
@pytest.mark.parametrize("kind", ["newest first", "of two symbols"])
def test_rows_of_messages_are_those_of_the_file(
    kind: str, column: str, value: str, expected: str, tmp_path: Path
) -> None:
    import pandas as pd

    table = pd.DataFrame(
        {
            "time": [f"2024-01-02 14:{minute}" for minute in (33, 32, 31, 30)],
            "symbol": ["A"] * 4,
            **dict(zip(OHLC.split(","), ("1", "2", "0.5", "1.5"), strict=True)),
        }
    )
    if kind == "of two symbols":
        table["symbol"] = ["B", "A", "B", "A"]
        table["time"] = list(table["time"])[::-1]
    table[column] = [value if row == 1 else one for row, one in enumerate(table[column])]
    table.to_csv(tmp_path / "bars.csv", index=False)
    with pytest.raises(DataError) as caught:
        read_bars(tmp_path / "bars.csv", ReadOptions(symbol="A", tz="America/New_York"))
    assert expected in str(caught.value)


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a folder, expected a file of bars; join several"):
        read_bars(tmp_path)


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


def test_a_comma_that_changes_its_meaning_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    rows = "".join(f'{1704205800 + 60 * i},"1,100","1,102","1,099","1,100"\n' for i in range(30))
    path.write_text(f'time,{OHLC}\n{rows}1704207600,"1,0985",2,1,1.5\n')
    with pytest.raises(DataError, match="row 30, column open: expected a number with a comma for"):
        read_bars(path)


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


def test_header_rows_of_yfinance_without_a_name_for_the_times(tmp_path: Path) -> None:
    import pandas as pd

    index = pd.date_range("2024-01-02 14:30", periods=2, freq="min", tz="UTC")
    table = pd.DataFrame(PRICES, columns=["Open", "High", "Low", "Close"], index=index)
    names = [(name, "AAPL") for name in table.columns]
    table.columns = pd.MultiIndex.from_tuples(names, names=["Price", "Ticker"])
    table.to_csv(tmp_path / "bars.csv")
    assert_read(tmp_path / "bars.csv", None, "yfinance")


def test_a_dbn_file_is_named() -> None:
    with pytest.raises(DataError, match=r"DBNStore\.to_parquet"):
        read_bars(FILES / "bars.dbn.zst")


def test_every_layout_has_its_source_and_a_name_of_its_own() -> None:
    assert all(one.source for one in (*HEADED, *BARE))
    names = [one.name for one in HEADED]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "column"), [("tradingview", "date"), ("table", "time")])
def test_a_named_layout_is_taken(name: str, column: str, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(text(f"{column},{OHLC}", "2024-01-02 14:30", "2024-01-02 14:31"))
    assert_read(path, ReadOptions(layout=name), f"read as: {name}, ")


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected klines, databento"):
        open_bars(FILES / "ccxt.csv", ReadOptions(layout="x"))


@pytest.mark.parametrize(
    ("header", "times"),
    [
        (" Time , Open , High , Low , Close ", ("2024-01-02T14:30", "2024-01-02T14:31")),
        ("Time,Open (USD),High (USD),Low [USD],Close(USD)", ("1704205800", "1704205860")),
        ("Date,Time,Open,High,Low,Close", ("01/02/2024,2:30 PM", "01/02/2024,2:31 PM")),
        ("Date,Time,Open,High,Low,Close", ("2024-01-02,02:30:00 p.m.", "2024-01-02,02:31:00 p.m.")),
    ],
)
def test_headers_and_clocks_as_people_write_them(
    header: str, times: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(text(header, *times))
    assert_read(path, ReadOptions(dates="mdy"))


def test_what_macos_packs_beside_a_table_is_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bars.zip", "w") as archive:
        archive.writestr("bars.csv", text("time,open,high,low,close", "1704205800", "1704205860"))
        archive.writestr("__MACOSX/._bars.csv", "Mac OS X")
    assert_read(tmp_path / "bars.zip")


def test_several_blanks_between_values_have_a_cure_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "bars.txt"
    table = text("time,open,high,low,close", "1704205800", "1704205860")
    path.write_text(table.replace(",", "   "))
    with pytest.raises(DataError, match="write one blank, or a comma, between values"):
        read_bars(path)
