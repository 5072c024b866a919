"""Files of bars that can't be read, or not in one way only, and what their error says."""

from __future__ import annotations

import gzip
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from moola_core.data.series import ReadOptions, open_bars, read_bars
from moola_core.data.span_tables import read_raw
from moola_core.errors import ConfigError, DataError, JobError
from tests.support.bar_texts import OHLC, text

FILES = Path(__file__).parent / "bar_files"


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
            text(f"time,{OHLC},contract", "1704205800", "1704205860", end=",A"),
            {"symbol": "A"},
            "--symbol A: no column of instruments, expected one named symbol, ticker",
        ),
        (
            "1704205800,1,2,1,2,7\n1704205860,1,2,1,2,7\n",  # no header
            {"symbol": "A", "layout": "ccxt"},
            "--symbol A: no column of instruments",
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
            "column Time (CST): CST is not the name of a single zone",
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
        ("AAPL,2024-01-02 14:30,1,2,0.5,1.5,7\n", {}, "; name its columns in a line above"),
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


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("bars.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("bars.csv.gz", gzip.compress(b"x" * 10_000, mtime=0)[:-10], "not readable"),
        ("bars.feather", b"x", "expected Arrow IPC"),
        ("bars.csv", b"a\0b", "neither text"),
        ("bars.csv", "日付,始値,高値\n1,2,3\n".encode("shift-jis"), "or save it as UTF-8"),
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


def test_a_sheet_of_libreoffice_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bars.ods", "w") as archive:
        for name in ("mimetype", "content.xml", "styles.xml", "META-INF/manifest.xml"):
            archive.writestr(name, "")
    with pytest.raises(DataError, match=r"an OpenDocument sheet, .* Save As > Text CSV"):
        read_bars(tmp_path / "bars.ods")


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


def test_a_comma_that_changes_its_meaning_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    rows = "".join(f'{1704205800 + 60 * i},"1,100","1,102","1,099","1,100"\n' for i in range(30))
    path.write_text(f'time,{OHLC}\n{rows}1704207600,"1,0985",2,1,1.5\n')
    with pytest.raises(DataError, match="row 30, column open: expected a number with a comma for"):
        read_bars(path)


def test_a_dbn_file_is_named() -> None:
    with pytest.raises(DataError, match=r"DBNStore\.to_parquet"):
        read_bars(FILES / "bars.dbn.zst")


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected klines, databento"):
        open_bars(FILES / "ccxt.csv", ReadOptions(layout="x"))


def test_several_blanks_between_values_have_a_cure_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "bars.txt"
    table = text("time,open,high,low,close", "1704205800", "1704205860")
    path.write_text(table.replace(",", "   "))
    with pytest.raises(DataError, match="write one blank, or a comma, between values"):
        read_bars(path)


@pytest.mark.parametrize("zone", ["Z", "utc", "GMT+1", "-0500", "Eastern Standard Time"])
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_times_of_a_zone_that_is_not_known_are_named(
    zone: str, suffix: str, tmp_path: Path
) -> None:
    stamps = pa.array([0, 60_000_000], pa.timestamp("us", zone))
    table = pa.table({"at": stamps, **{name: [1.0, 1.0] for name in OHLC.split(",")}})
    path = tmp_path / f"bars.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        pa.feather.write_feather(table, path)
    says = f"column at: times of zone {zone!r}, which is not known, expected one like UTC"
    with pytest.raises(DataError, match=re.escape(says)):
        open_bars(path)
    spans = table.rename_columns(["at", "end", "label", "type", "text"])
    pq.write_table(spans, tmp_path / "spans.parquet")
    with pytest.raises(DataError, match=re.escape(says)):
        read_raw(tmp_path / "spans.parquet", None)
    known = table.set_column(0, "at", stamps.cast(pa.timestamp("us", "UTC")))
    pq.write_table(known, path)
    assert len(read_bars(path)) == 2
