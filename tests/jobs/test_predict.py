from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from jobs.predict import main
from jobs.train import main as train

pytestmark = pytest.mark.train

LINEAR = Path(__file__).parents[2] / "configs" / "train" / "jade-ensemble.yaml"


@pytest.fixture
def bars(data: Path, tmp_path: Path) -> Path:
    table = pq.read_table(data / "bars" / "synthetic_1m.parquet").slice(0, 1500)
    pq.write_table(table, tmp_path / "bars.parquet")
    return tmp_path / "bars.parquet"


def test_spans_of_a_series_share_no_bar(small_run: Path, bars: Path, tmp_path: Path) -> None:
    out = tmp_path / "spans.parquet"
    assert main(["--run", str(small_run), "--bars", str(bars), "--out", str(out)]) == 0
    table = pq.read_table(out)
    assert table.column_names == [
        *("start", "stop", "first_timestamp", "last_timestamp"),
        *("confidence", "type", "type_confidence", "windows"),
    ]
    start, stop = table["start"].to_numpy(), table["stop"].to_numpy()
    assert len(table) > 3
    assert (stop > start).all()
    assert (start[1:] >= stop[:-1]).all()
    times = pq.read_table(bars)["timestamp"].to_numpy()
    np.testing.assert_array_equal(table["first_timestamp"].to_numpy(), times[start])
    np.testing.assert_array_equal(table["last_timestamp"].to_numpy(), times[stop - 1])
    assert set(table["type"].to_pylist()) <= {"consolidation", "retracement"}


def test_csv_in_and_out_say_the_same(small_run: Path, bars: Path, tmp_path: Path) -> None:
    pa.csv.write_csv(pq.read_table(bars).drop(["timestamp"]), tmp_path / "bars.csv")
    common = ["--run", str(small_run), "--stride", "20"]
    csv, parquet = tmp_path / "spans.csv", tmp_path / "spans.parquet"
    assert main([*common, "--bars", str(tmp_path / "bars.csv"), "--out", str(csv)]) == 0
    assert main([*common, "--bars", str(bars), "--out", str(parquet)]) == 0
    ours, theirs = pa.csv.read_csv(csv), pq.read_table(parquet)
    assert "first_timestamp" not in ours.column_names
    assert ours["start"].to_pylist() == theirs["start"].to_pylist()


def test_a_series_that_is_too_short_is_named(
    small_run: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(pq.read_table(bars).slice(0, 104), tmp_path / "short.parquet")
    paths = ["--bars", str(tmp_path / "short.parquet"), "--out", str(tmp_path / "spans.csv")]
    assert main(["--run", str(small_run), *paths]) == 10
    assert (
        "short.parquet: expected at least 105, the length of a window, got 104 bars;"
        " give a longer series" in capsys.readouterr().err
    )


def test_a_floor_leaves_fewer(small_run: Path, bars: Path, tmp_path: Path) -> None:
    out = tmp_path / "spans.parquet"
    asked = ["--run", str(small_run), "--bars", str(bars), "--out", str(out)]
    assert main([*asked, "--min-confidence", "1.0"]) == 0
    assert pq.read_table(out).num_rows == 0


@pytest.mark.parametrize("place", [True, False])
def test_a_model_that_goes_by_the_place_is_reported(
    place: bool, data: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--set", "ensemble.units=[]", "--set", "candidates.number=40", "--epochs", "1"]
    small += ["--set", "data.windows=60"]
    small += ["--set", f"candidates.place={place}", "--run-dir", str(tmp_path / "run")]
    before = signal.getsignal(signal.SIGTERM)
    assert train(["--config", str(LINEAR), "--data", str(data), "--device", "cpu", *small]) == 0
    signal.signal(signal.SIGTERM, before)
    out = tmp_path / "spans.parquet"
    assert main(["--run", str(tmp_path / "run"), "--bars", str(bars), "--out", str(out)]) == 0
    assert ("train it with --set candidates.place=false" in capsys.readouterr().err) == place


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--out", "spans.txt"], "expected a name that ends in .parquet or .csv"),
        (["--out", "nowhere/spans.csv"], "no such folder"),
        (["--stride", "90"], "stride: expected 1..79 bars, got 90"),
        (["--run", "nowhere"], "expected a trained model"),
        (["--bars", "none.csv"], "none.csv: no such file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    small_run: Path,
    bars: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    expected: str,
) -> None:
    before = sorted(tmp_path.iterdir())
    good = ["--run", str(small_run), "--bars", str(bars), "--out", str(tmp_path / "spans.csv")]
    assert main([*good, *options]) == 10
    printed = capsys.readouterr().err
    lines = printed.removeprefix("reading the model and the bars\n").splitlines(keepends=True)
    reported = "".join(line for line in lines if not line.startswith("read as: "))
    assert expected in reported
    assert reported.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_a_bad_bar_is_named_and_an_old_answer_stays(
    small_run: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(bars)
    high = table["high"].to_numpy().copy()
    high[1234] = 0.0
    column = table.column_names.index("high")
    pq.write_table(table.set_column(column, "high", pa.array(high)), bars)
    out = tmp_path / "spans.csv"
    old = "start,stop,confidence,windows\n1,2,0.5,1\n"
    out.write_text(old)
    assert main(["--run", str(small_run), "--bars", str(bars), "--out", str(out)]) == 10
    message = "row 1234, column high: expected at least open and close, got 0.0"
    assert message in capsys.readouterr().err
    assert out.read_text() == old


def test_times_come_out_in_the_zone_of_the_bars(
    small_run: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(bars)
    local = table["timestamp"].cast(pa.timestamp("us", tz="America/New_York"))
    other = tmp_path / "other.parquet"
    names = {"timestamp": "time", "open": "Open", "high": "High", "low": "Low", "close": "Close"}
    renamed = table.set_column(0, "timestamp", local).rename_columns(
        [names.get(name, name) for name in table.column_names]
    )
    pq.write_table(renamed, other)
    outs = tmp_path / "a.parquet", tmp_path / "b.parquet"
    for source, out in zip((bars, other), outs, strict=True):
        assert main(["--run", str(small_run), "--bars", str(source), "--out", str(out)]) == 0
    assert "read as: tradingview, Parquet, " in capsys.readouterr().err
    ours, theirs = (pq.read_table(out) for out in outs)
    assert theirs.schema.field("first_timestamp").type.tz == "America/New_York"
    assert ours["start"].equals(theirs["start"])
    utc = theirs["first_timestamp"].cast(pa.timestamp("ns", tz="UTC"))
    assert ours["first_timestamp"].cast(pa.timestamp("ns", tz="UTC")).equals(utc)


def test_times_of_two_offsets_come_out_in_the_zone_that_is_named(
    small_run: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, path = pq.read_table(bars), tmp_path / "bars.csv"
    first = np.datetime64("2024-11-03T00:00", "m")  # clocks go back at 06:00 UTC
    time = pa.array((first + np.arange(len(table))).astype("datetime64[s]"), pa.timestamp("s"))
    local = pc.assume_timezone(time, "UTC").cast(pa.timestamp("s", tz="America/New_York"))
    pa.csv.write_csv(table.set_column(0, "timestamp", local), path)
    out = tmp_path / "spans.csv"
    asked = ["--run", str(small_run), "--bars", str(path), "--out", str(out)]
    assert main(asked) == 0
    note = "times of -04:00 and -05:00 come out in UTC; name their zone: --tz"
    assert note in capsys.readouterr().err
    assert all(line.split(",")[2].endswith(":00Z") for line in out.read_text().splitlines()[1:])
    assert main([*asked, "--tz", "America/New_York"]) == 0
    ends = {line.split(",")[2][-5:] for line in out.read_text().splitlines()[1:]}
    assert ends == {"-0400", "-0500"}


@pytest.mark.parametrize("factor", [1e-10, 1e-7, 1e10, "below 0"])
def test_spans_do_not_depend_on_the_size_of_prices(
    small_run: Path, bars: Path, tmp_path: Path, factor: float | str
) -> None:
    table = pq.read_table(bars)
    names = ("open", "high", "low", "close")
    prices = np.stack([table[name].to_numpy() for name in names])
    if factor == "below 0":  # a spread: around 0
        prices, other = prices - 1.5 * prices.mean(), prices - 1.0 * prices.mean()
    else:
        other = prices * float(factor)
    found = []
    for name, values in (("a", prices), ("b", other)):
        columns = dict(zip(names, values, strict=True))
        path = tmp_path / f"{name}.csv"
        pa.csv.write_csv(pa.table({"timestamp": table["timestamp"], **columns}), path)
        out = tmp_path / f"{name}.parquet"
        assert main(["--run", str(small_run), "--bars", str(path), "--out", str(out)]) == 0
        found.append(pq.read_table(out))
    assert len(found[0]) > 3
    for name in ("start", "stop", "type"):
        assert found[0][name].equals(found[1][name])
    sure = [one["confidence"].to_numpy() for one in found]
    np.testing.assert_allclose(sure[0], sure[1], atol=1e-5)


def klines(table: pa.Table, path: Path) -> None:
    """Binance's, without a header."""
    lines = [
        f"{t // 10**6},{','.join(map(str, prices))},1,2,3,4,5,6,0" for t, *prices in rows(table)
    ]
    path.write_text("\n".join(lines) + "\n")


def metatrader(table: pa.Table, path: Path) -> None:
    """MetaTrader 5's, in UTF-16, newest first."""
    lines = ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>"]
    for t, *prices in rows(table)[::-1]:
        day, clock = str(np.datetime64(t, "ns").astype("datetime64[s]")).split("T")
        lines.append("\t".join([day.replace("-", "."), clock, *map(str, prices), "1"]))
    path.write_text("\n".join(lines), encoding="utf-16")


def databento(table: pa.Table, path: Path) -> None:
    """Databento's, with prices in units of 1e-9."""
    time, *prices = (np.array(column) for column in zip(*rows(table), strict=True))
    columns = {
        name: np.rint(values * 1e9).astype(np.int64)
        for name, values in zip(("open", "high", "low", "close"), prices, strict=True)
    }
    stamps = pa.array(time.astype(np.int64)).cast(pa.timestamp("ns", tz="UTC"))
    kinds = pa.array([33] * len(time), pa.uint8())
    pq.write_table(pa.table({"ts_event": stamps, "rtype": kinds, **columns}), path)


def rows(table: pa.Table) -> list[tuple[int, float, float, float, float]]:
    time = table["timestamp"].cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64()).to_pylist()
    prices = (table[name].to_pylist() for name in ("open", "high", "low", "close"))
    return list(zip(time, *prices, strict=True))


@pytest.mark.parametrize("kind", ["csv", "parquet", "tradingview"])
@pytest.mark.parametrize("write_as", [klines, metatrader, databento])
def test_what_the_reader_reads_is_answered_in_every_format(
    small_run: Path,
    bars: Path,
    tmp_path: Path,
    write_as: Callable[[pa.Table, Path], None],
    kind: str,
) -> None:
    path, plain, out = tmp_path / "other", tmp_path / "plain.parquet", tmp_path / "spans"
    write_as(pq.read_table(bars), path)
    asked = ["--run", str(small_run), "--bars"]
    assert main([*asked, str(bars), "--out", str(plain)]) == 0
    assert main([*asked, str(path), "--out", str(out), "--format", kind]) == 0
    ours, theirs = (
        pq.read_table(plain),
        pq.read_table(out) if kind == "parquet" else pa.csv.read_csv(out),
    )
    assert len(ours) > 3
    if kind == "tradingview":
        first = ours["first_timestamp"].cast(pa.timestamp("s", tz="UTC")).cast(pa.int64())
        assert theirs["time"].to_pylist() == first.to_pylist()
        assert theirs["label"].to_pylist() == ours["type"].to_pylist()
    else:
        assert theirs["start"].to_pylist() == ours["start"].to_pylist()


def test_a_chart_takes_unix_times(small_run: Path, bars: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "marks.txt", tmp_path / "plain.csv"
    asked = ["--run", str(small_run), "--bars", str(bars)]
    assert main([*asked, "--out", str(out), "--format", "tradingview"]) == 0
    assert main([*asked, "--out", str(plain)]) == 0
    marks, spans = pa.csv.read_csv(out), pa.csv.read_csv(plain)
    assert marks.column_names == ["time", "end_time", "label", "confidence"]
    first = spans["first_timestamp"].cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
    assert marks["time"].to_pylist() == [ns // 10**9 for ns in first.to_pylist()]


def test_bars_of_another_length_are_refused(
    small_run: Path, bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(bars)
    time = pa.array(1_704_205_800 + 300 * np.arange(len(table)), pa.timestamp("s"))
    pq.write_table(table.set_column(0, "timestamp", time), bars)
    asked = ["--run", str(small_run), "--bars", str(bars), "--out", str(tmp_path / "s.csv")]
    assert main(asked) == 10
    assert "bars of 5 min, expected 1 min" in capsys.readouterr().err
    assert main([*asked, "--any-bar-length"]) == 0
