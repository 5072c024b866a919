from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from moola_core.data.layouts import BARE, HEADED, NAMES
from moola_core.data.series import Bars, ReadOptions, open_bars, read_bars
from moola_core.errors import DataError
from tests.support.bar_texts import OHLC, PRICES, ROWS, assert_read, text

FILES = Path(__file__).parent / "bar_files"
MINUTE = 60_000_000_000


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


def test_an_index_of_pandas_is_the_time_beside_another_time(tmp_path: Path) -> None:
    import pandas as pd

    index = pd.date_range("2024-01-02 09:30", periods=2, freq="min", tz="UTC")
    table = pd.DataFrame(PRICES, columns=["open", "high", "low", "close"], index=index)
    table.assign(seen=index + pd.Timedelta("1D")).to_parquet(tmp_path / "bars.parquet")
    time = read_bars(tmp_path / "bars.parquet").time
    assert time is not None
    assert (time == index.as_unit("ns").asi8).all()


@pytest.mark.parametrize("kind", ["price-first", "ticker-first"])
def test_storeyed_columns_of_pandas_are_prices(tmp_path: Path, kind: str) -> None:
    import pandas as pd

    index = pd.date_range("2024-01-02 14:30", periods=2, freq="min", tz="UTC", name="timestamp")
    names = [("Open", "ES"), ("High", "ES"), ("Low", "ES"), ("Close", "ES"), ("Volume", "ES")]
    storeys = names if kind == "price-first" else [(b, a) for a, b in names]
    values = np.column_stack([PRICES, [1, 1]])
    table = pd.DataFrame(values, columns=pd.MultiIndex.from_tuples(storeys), index=index)
    table.to_parquet(tmp_path / "bars.parquet")
    assert_read(tmp_path / "bars.parquet")


@pytest.mark.parametrize("index", [pa.uint8(), pa.uint32()])
@pytest.mark.parametrize("is_time", [False, True])
def test_words_of_polars_are_a_symbol_or_a_time(
    index: pa.DataType, is_time: bool, tmp_path: Path
) -> None:
    """An Enum or Categorical in Arrow IPC is a dictionary of views, which pyarrow can't decode."""
    words = ["2024-01-02T14:30Z", "2024-01-02T14:31Z"] if is_time else ["ES", "NQ"]
    codes = [0, 1] if is_time else [0, 0]
    views = pa.DictionaryArray.from_arrays(pa.array(codes, index), pa.array(words, "string_view"))
    columns = dict(zip(OHLC.split(","), PRICES.T.tolist(), strict=True))
    times = [] if is_time else [("time", pa.array([1704205800, 1704205860]))]
    named = [*times, ("time" if is_time else "symbol", views)]
    table = pa.table({**dict(named), **columns})
    with pa.ipc.new_file(tmp_path / "bars.arrow", table.schema) as file:
        file.write_table(table)
    assert_read(tmp_path / "bars.arrow")


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
    "tradestation": (
        text(
            '"Date","Time","Open","High","Low","Close","Up","Down"',
            "2024-01-02,14:31",
            "2024-01-02,14:32",
            end=",3,4",
        ),
        "stamp = close",
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


@pytest.mark.parametrize("name", ["DAT_NT_EURUSD_M1_2024.csv", "DAT_MT_EURUSD_M1_2024.csv"])
def test_histdatas_times_are_of_one_zone_in_each_of_its_formats(name: str, tmp_path: Path) -> None:
    content = EST
    if "_MT_" in name:
        content = text("", "2024.01.02,09:30", "2024.01.02,09:31", end=",0")
    (tmp_path / name).write_text(content)
    assert_read(tmp_path / name, None, "Etc/GMT+5, stamp = open")


def test_the_name_of_a_file_distinguishes_them(tmp_path: Path) -> None:
    path = tmp_path / "DAT_ASCII_EURUSD_M1_2024.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("DAT_ASCII_EURUSD_M1_2024.csv", EST)
        archive.writestr("DAT_ASCII_EURUSD_M1_2024.txt", "gaps: none")
    assert_read(path, None, "histdata")
    path = tmp_path / "ES 03-24.Last.txt"
    path.write_text(EST)
    assert "ninjatrader" in open_bars(path).describe()


def test_header_rows_of_yfinance_without_a_name_for_the_times(tmp_path: Path) -> None:
    import pandas as pd

    index = pd.date_range("2024-01-02 14:30", periods=2, freq="min", tz="UTC")
    table = pd.DataFrame(PRICES, columns=["Open", "High", "Low", "Close"], index=index)
    names = [(name, "AAPL") for name in table.columns]
    table.columns = pd.MultiIndex.from_tuples(names, names=["Price", "Ticker"])
    table.to_csv(tmp_path / "bars.csv")
    assert_read(tmp_path / "bars.csv", None, "yfinance")


def test_every_layout_has_its_source_and_a_name_of_its_own() -> None:
    assert all(one.source for one in (*HEADED, *BARE))
    names = [one.name for one in HEADED]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("header", "times"),
    [
        (" Time , Open , High , Low , Close ", ("2024-01-02T14:30", "2024-01-02T14:31")),
        ("Time,Open (USD),High (USD),Low [USD],Close(USD)", ("1704205800", "1704205860")),
        ("Date,Time,Open,High,Low,Close", ("01/02/2024,2:30 PM", "01/02/2024,2:31 PM")),
        ("<DTYYYYMMDD>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>", ("20240102,143000", "20240102,143100")),
        ("time,open,high,low,close", ("20240102-14:30:00.000", "20240102-14:31:00.000")),  # FIX
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
