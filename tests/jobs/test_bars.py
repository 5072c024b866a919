from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.bars import main

HEADER = "timestamp,open,high,low,close\n"


def row(minute: int, prices: str = "1,2,0.5,1.5") -> str:
    return f"2024-01-02 {14 + minute // 60:02}:{minute % 60:02},{prices}\n"


def run(path: Path, *options: str) -> int:
    return main([str(path), *options])


def test_a_good_series_is_checked_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "bars.csv", tmp_path / "clean.parquet"
    path.write_text(HEADER + "".join(row(i) for i in (3, 2, 1, 0)))
    assert run(path, "--check", "--out", str(out)) == 0
    printed = capsys.readouterr()
    assert "newest first, turned round" in printed.err
    assert "4 bars, 2024-01-02 14:00:00 to 2024-01-02 14:03:00 UTC" in printed.out
    assert "bar length" in printed.out
    assert "1 min" in printed.out
    table = pq.read_table(out)
    assert table.column_names == ["timestamp", "open", "high", "low", "close"]
    assert table.schema.field("timestamp").type == pa.timestamp("ns", tz="UTC")
    assert table.schema.metadata[b"moola.bar_ns"] == b"60000000000"


def test_a_bad_series_is_refused_and_repaired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "bars.csv", tmp_path / "clean.parquet"
    bars = [
        row(0),
        row(1),
        row(1),
        row(2, "1,1,0.5,1.5"),
        row(5),
        row(4),
        row(6),
        row(6, "2,2,2,2"),
    ]
    path.write_text(HEADER + "".join(bars))
    assert run(path, "--out", str(out)) == 10
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 2
    assert "1 bars out of order, the first is row 5" in printed.err
    assert "--repair" in printed.err
    assert not out.exists()
    assert run(path, "--repair", "--out", str(out)) == 0
    assert "left out 3 bars" in capsys.readouterr().out
    table = pq.read_table(out)
    minutes = table["timestamp"].cast(pa.int64()).to_numpy() // 60_000_000_000 % 60
    assert minutes.tolist() == [0, 1, 4, 5, 6]
    assert table["close"].to_pylist()[-1] == 2.0


@pytest.mark.parametrize("order", ["stacked", "interleaved", "in-files"])
def test_several_instruments_are_not_repaired_into_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], order: str
) -> None:
    path, other, out = tmp_path / "bars.csv", tmp_path / "more.csv", tmp_path / "clean.parquet"
    one = [row(i) for i in range(6)]
    two = [row(i, "48,49,47,48") for i in range(1, 6)]
    rows = [*one, *two] if order == "stacked" else sorted([*one, *two], key=lambda one: one[:19])
    path.write_text(HEADER + "".join(one if order == "in-files" else rows))
    other.write_text(HEADER + "".join(two))
    files = [path, other] if order == "in-files" else [path]
    for options in (["--check"], ["--repair", "--out", str(out)], ["--out", str(out)]):
        assert main([*map(str, files), *options]) == 10
        said = "10 of 11 bars have one of the same time beside them, with other prices, expected"
        assert said in capsys.readouterr().err
    assert not out.exists()


def test_lacking_prices_are_counted_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "bars.csv", tmp_path / "clean.parquet"
    path.write_text(HEADER + row(0) + row(1, "1,,0.5,1.5") + row(2, "NaN,NaN,NaN,NaN") + row(3))
    assert run(path, "--check") == 10
    assert "prices that are not finite          2" in capsys.readouterr().out
    assert run(path, "--mend", "--out", str(out)) == 0
    assert "left out 2 bars" in capsys.readouterr().out
    assert pq.read_table(out).num_rows == 2


def test_files_are_joined_by_their_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, minutes in (("b", (2, 3)), ("a", (0, 1)), ("c", (3, 4))):
        (tmp_path / f"{name}.csv").write_text(HEADER + "".join(map(row, minutes)))
    a, b, c = (tmp_path / f"{name}.csv" for name in "abc")
    out = tmp_path / "all.parquet"
    assert run(b, str(a), "--out", str(out)) == 0
    printed = capsys.readouterr()
    assert "b.csv and 1 more: 4 bars, 2024-01-02 14:00:00 to 2024-01-02 14:03:00" in printed.out
    assert printed.err.count("read as: table") == 2
    minutes = pq.read_table(out)["timestamp"].cast(pa.int64()).to_numpy() // 60_000_000_000 % 60
    assert minutes.tolist() == [0, 1, 2, 3]
    assert run(a, str(b), str(c), "--out", str(out)) == 10
    assert "1 bars repeated, with the same prices" in capsys.readouterr().err
    (tmp_path / "d.csv").write_text("open,high,low,close\n1,1,1,1\n")
    assert run(a, str(tmp_path / "d.csv"), "--out", str(out)) == 10
    assert "d.csv: no times, expected some to join files by" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("header", "second", "says", "option"),
    [
        ("", [row(10), row(15)], "bars of 5 min, expected 1 min, as", ["--any-bar-length"]),
        ("", [row(2), row(3)], "times without a zone, expected one, as", ["--tz", "UTC"]),
        (",symbol", [row(2), row(3)], "bars of NQ, expected ES, as", ["--symbol", "ES"]),
    ],
)
def test_files_that_are_not_alike_are_not_joined(
    header: str,
    second: list[str],
    says: str,
    option: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = [row(0), row(1)]
    if "zone" in says:
        first = [one.replace(",", "Z,", 1) for one in first]
    if header:
        first = [one.replace("\n", ",ES\n") for one in first]
        second = [one.replace("\n", ",NQ\n") for one in second]
    names = HEADER.replace("\n", f"{header}\n")
    for name, lines in (("a", first), ("b", second)):
        (tmp_path / f"{name}.csv").write_text(names + "".join(lines))
    a, *others = tmp_path / "a.csv", str(tmp_path / "b.csv"), "--out", str(tmp_path / "all.parquet")
    assert run(a, *others) == 10
    assert f"b.csv: {says} {tmp_path / 'a.csv'} has" in capsys.readouterr().err
    # of NQ's file no bar is left
    assert run(a, *others, *option) == (10 if header else 0)
    assert header == "" or "no bar of it" in capsys.readouterr().err


def test_gaps_flat_stretches_and_glitches_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    # Ten days from a Monday on, 14:30 to 21:00, with a hole of 17 bars on the second.
    day = np.datetime64("2024-01-01T14:30", "m").astype(np.int64)
    days = [d for d in range(12) if d % 7 < 5]
    time = np.concatenate([day + d * 1440 + np.arange(390) for d in days])
    close = 100 + rng.normal(0, 0.1, len(time)).cumsum()
    opened = np.r_[close[0], close[:-1]]
    prices = np.stack(
        [opened, np.maximum(opened, close) + 0.05, np.minimum(opened, close) - 0.05, close], 1
    )
    prices[2000, 1] += 50
    prices[3000:3030] = prices[2999, 3]
    keep = np.ones(len(time), dtype=bool)
    keep[500:517] = False
    columns = {name: prices[keep, i] for i, name in enumerate(("open", "high", "low", "close"))}
    stamps = pa.array(time[keep] * 60, pa.timestamp("s"))
    path = tmp_path / "bars.parquet"
    pq.write_table(pa.table({"time": stamps, **columns}), path)
    assert run(path, "--check") == 0
    lines = capsys.readouterr().out.splitlines()
    found = {line.strip().rsplit("  ", 1)[0].rsplit(" ", 1)[0].strip(): line for line in lines}
    breaks = next(line for name, line in found.items() if name.startswith("breaks between"))
    assert " 9  longest" in breaks
    gaps = next(line for name, line in found.items() if name.startswith("gaps inside"))
    assert " 1  longest 17 bars after 2024-01-02 16:19:00" in gaps
    assert any("glitches" in line and " 1  first" in line for line in lines)
    assert any("flat bars" in line and " 1  longest 30 bars" in line for line in lines)


def test_a_calendar_needs_its_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + row(30) + row(31) + row(33) + row(36))
    code = run(path, "--check", "--calendar", "XNYS")
    printed = capsys.readouterr()
    try:
        import exchange_calendars  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
    except ImportError:
        assert code == 10
        assert "pip install exchange_calendars" in printed.err
    else:
        assert code == 0
        assert (
            "bars of XNYS's sessions that lack          3  in 2 gaps, the longest 2 bars"
            in printed.out
        )


def test_a_lunch_break_is_no_gap_of_a_calendar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("exchange_calendars")
    # Tokyo, in UTC: 00:00 to 02:30 and 03:30 to 06:00; 04:30 and 04:31 lack.
    minutes = [*range(150), *range(210, 270), *range(272, 360)]
    stamps = pa.array(np.datetime64("2024-01-04T00:00", "s") + 60 * np.array(minutes))
    close = 100 + np.random.default_rng(0).normal(0, 0.1, len(minutes)).cumsum()
    prices = {"open": close, "high": close + 0.1, "low": close - 0.1, "close": close}
    path = tmp_path / "bars.parquet"
    pq.write_table(pa.table({"time": stamps, **prices}), path)
    assert run(path, "--check", "--tz", "UTC", "--calendar", "XTKS") == 0
    found = next(line for line in capsys.readouterr().out.splitlines() if "XTKS" in line)
    assert " 2  in 1 gaps, the longest 2 bars from 2024-01-04 04:30" in found


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--out", "x.csv"], "expected a name that ends in .parquet"),
        (["--layout", "x"], "no such layout"),
        (["--tz", "Nowhere/At"], "no such zone"),
    ],
)
def test_bad_options_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(HEADER + row(0) + row(1))
    assert run(path, *options) == 10
    assert expected in capsys.readouterr().err
