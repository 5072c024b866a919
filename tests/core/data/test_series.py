from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from moola_core.data import series as series_module
from moola_core.data.series import Bars, open_bars, read_bars, read_chunks
from moola_core.data.synthetic import Market, bars_table
from moola_core.errors import DataError

GOOD = "timestamp,open,high,low,close\n2024-01-01T00:00,1,2,0.5,1.5\n2024-01-01T00:01,1,2,0.5,1.5\n"


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_series_is_read_as_it_was_written(market: Market, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"bars.{kind}"
    if kind == "csv":
        pyarrow.csv.write_csv(bars_table(market), path)
    else:
        pq.write_table(bars_table(market), path)
    bars = read_bars(path)
    np.testing.assert_array_equal(bars.prices, market.bars)
    assert bars.time is not None
    np.testing.assert_array_equal(bars.time, market.timestamp.astype(np.int64))


def test_bars_that_follow_one_another_keep_their_times() -> None:
    prices = np.arange(12.0).reshape(3, 4)
    known = Bars(prices, np.array([10, 20, 30]))
    joined = known.after(1).then(Bars(prices[:1], np.array([40])))
    assert joined.prices.tolist() == [*prices[1:].tolist(), prices[0].tolist()]
    assert joined.time is not None
    assert joined.time.tolist() == [20, 30, 40]
    assert known.then(Bars(prices, None)).time is None
    assert Bars(prices, None).then(known).time is None


def test_chunks_join_to_the_series(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(bars_table(market), tmp_path / "bars.parquet")
    monkeypatch.setattr(series_module, "CHUNK_BARS", 999)
    chunks = list(read_chunks(tmp_path / "bars.parquet"))
    assert max(len(chunk) for chunk in chunks) <= 999
    np.testing.assert_array_equal(np.concatenate([c.prices for c in chunks]), market.bars)


def test_times_are_optional(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("close,low,high,open,note\n1,0.5,2,1.5,x\n")
    bars = read_bars(path)
    assert bars.time is None
    assert bars.prices.tolist() == [[1.5, 2.0, 0.5, 1.0]]


@pytest.mark.parametrize("stamp", ["2024-01-01 00:00:00", "2024-01-01T00:00:00Z"])
def test_times_with_and_without_a_zone_are_read(tmp_path: Path, stamp: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(f"timestamp,open,high,low,close\n{stamp},1,2,0.5,1.5\n")
    time = read_bars(path).time
    assert time is not None
    assert time[0] == 1_704_067_200_000_000_000


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("close\n", "cloze\n", "column close is missing, expected open, high, low, close"),
        ("00:01,1,", "00:01,one,", "row 1, column open: expected a number, got 'one'"),
        ("00:01,1,", "00:01,,", "row 1, column open: expected a number, got nothing"),
        ("00:01,1,", "00:01,inf,", "row 1, column open: expected a finite price, got inf"),
        ("00:01,1,2", "00:01,1,1.2", "row 1, column high: expected at least open and close"),
        ("00:01,1,2,0.5", "00:01,1,2,1.2", "row 1, column low: expected at most open and close"),
        ("00:01,", "00:00,", "row 1, column timestamp: expected a time after"),
        ("2024-01-01T00:01", "noon", "row 1, column timestamp: expected a time like"),
        ("00:01,1,2,0.5,1.5", "00:01,1", "row 1: expected 5 values a row, got 2"),
        (GOOD[30:], "", "holds no bar"),
    ],
)
def test_a_bad_csv_is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(DataError) as caught:
        read_bars(path)
    message = str(caught.value)
    assert expected in message
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_rows_are_counted_through_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prices = np.ones((100, 4))
    prices[77, 1] = 0.5
    names = ("open", "high", "low", "close")
    table = pa.table({name: prices[:, i] for i, name in enumerate(names)})
    pq.write_table(table, tmp_path / "bars.parquet")
    monkeypatch.setattr(series_module, "CHUNK_BARS", 10)
    with pytest.raises(DataError, match="row 77, column high"):
        read_bars(tmp_path / "bars.parquet")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("none.csv", None, "no such file"),
        ("bars.txt", b"x", "no table of bars, expected a header"),
        ("bars.parquet", b"x", "not readable"),
    ],
)
def test_a_file_that_holds_no_bars_is_refused(
    tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=expected):
        read_bars(tmp_path / name)


@pytest.mark.parametrize("row_group", [None, 50_000])
def test_of_a_parquet_file_no_more_is_held_than_is_read(
    tmp_path: Path, row_group: int | None
) -> None:
    """By default pyarrow keeps every column that it has read: 45 bytes a bar."""
    number = 800_000
    close = np.random.default_rng(0).random(number)
    prices = {"open": close, "high": close + 1, "low": close - 1, "close": close}
    table = pa.table({"timestamp": 1_704_205_800 + 60 * np.arange(number), **prices})
    path = tmp_path / "bars.parquet"
    pq.write_table(table, path, row_group_size=row_group or number, compression="none")
    assert path.stat().st_size > 30e6
    del table, close, prices
    before, most, seen = pa.total_allocated_bytes(), 0, 0
    for chunk in read_chunks(path):
        most, seen = max(most, pa.total_allocated_bytes() - before), seen + len(chunk)
    assert seen == number
    assert most < 16e6


def test_arrow_files_are_held_in_parts(tmp_path: Path) -> None:
    num_bars = 20 * series_module.CHUNK_BARS + 5
    prices = {name: np.arange(num_bars) + 1.0 for name in ("open", "high", "low", "close")}
    stamps = pa.array(60 * np.arange(num_bars), pa.timestamp("s", "UTC"))
    table = pa.table({"close": prices.pop("close"), "time": stamps, **prices, "v": stamps})
    pyarrow.feather.write_feather(table, tmp_path / "bars.feather", compression="lz4")
    before, sizes, last = pa.total_allocated_bytes(), [], -1
    for chunk in read_chunks(tmp_path / "bars.feather"):
        assert pa.total_allocated_bytes() - before < table.nbytes / 2
        assert chunk.time is not None
        assert chunk.prices[0].tolist() == [last + 2] * 4
        last += len(chunk)
        assert chunk.time[-1] == last * 60_000_000_000
        sizes.append(len(chunk))
    assert sizes == [series_module.CHUNK_BARS] * 20 + [5]


@pytest.mark.parametrize("kind", ["file", "stream", "parquet"])
@pytest.mark.parametrize("size", [1, 7, 30_000])
def test_the_size_of_batches_does_not_matter(
    kind: str, size: int, market: Market, tmp_path: Path
) -> None:
    table, path = bars_table(market).slice(0, 500 if size == 1 else None), tmp_path / "bars"
    table = table.append_column("symbol", pa.array(["A"] * len(table)).dictionary_encode())
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=size)
    else:
        new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
        with new(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=size)
    file = open_bars(path)
    assert file.bar_ns == 60_000_000_000
    chunks = list(file.chunks())
    np.testing.assert_array_equal(
        np.concatenate([one.prices for one in chunks]), market.bars[: len(table)]
    )
    assert len(chunks) == -(-len(table) // series_module.CHUNK_BARS)
