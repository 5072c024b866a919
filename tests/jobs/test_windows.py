from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from jobs.train import main as train
from moola_core.data.windows import read_windows
from tests.jobs.span_lists import SPANS, run, table, time_of, write_bars

OHLC = ("open", "high", "low", "close")
SEED = Path(__file__).parents[2] / "configs" / "train" / "seed.yaml"


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bars(tmp_path_factory.mktemp("bars"))


def test_what_is_left_out_is_counted(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        *(SPANS[0], (203, 220, "up"), (200, 207, "down"), (600, 750, "up"), (30, 20, "up")),
        *((1995, 2001, "up"), (50, 60, ""), (700, 707, "down"), (720, 727, "up"), (0, 4, "up")),
        ("", "", "none"),
    ]
    (tmp_path / "s.csv").write_text(table(rows))
    code, out = run(bars, tmp_path / "s.csv", "--ends", "half-open", "--shifts", "52", "-52")
    assert code == 0
    printed = capsys.readouterr().out
    assert "4 of 11 spans kept" in printed
    assert "1 left out: longer than a window of 105 bars (rows 3)" in printed
    assert "1 left out: shares bars with a span before it in the file (rows 1)" in printed
    assert "1 left out: marked twice (rows 2)" in printed
    assert "an end after its start (bar 30) (rows 4)" in printed
    assert "at most bar 2000 (rows 5)" in printed
    assert "one word for the type (rows 6)" in printed
    assert "1 left out: start: expected a span, such a row marks none (rows 10)" in printed
    windows, _ = read_windows(out)
    assert set(windows.offset) <= {0, 52, -52}
    assert (windows.offset != 0).any()


def test_spans_beside_bars_stamped_at_their_close_are_too(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [(time_of(start), time_of(stop), word) for start, stop, word in SPANS]
    (tmp_path / "s.csv").write_text(table(lines))
    spans = []
    for options in (["--stamp", "close"], ["--stamp", "close", "--span-stamp", "open"], []):
        code, out = run(bars, tmp_path / "s.csv", "--ends", "half-open", *options)
        assert code == 0
        spans.append(read_windows(out)[0])
        assert ("--span-stamp open" in capsys.readouterr().out) == (len(options) == 2)
    (tmp_path / "bars.csv").write_text(table(SPANS))
    assert run(bars, tmp_path / "bars.csv", "--ends", "half-open", "--stamp", "close")[0] == 0
    assert "--span-stamp" not in capsys.readouterr().out  # bar numbers are at no time
    at_close, late, at_open = (one.bars[:, :, 3] for one in spans)
    assert np.array_equal(at_close, at_open)
    assert not np.array_equal(late, at_open)


def test_a_shift_that_is_asked_for_twice_or_is_none_makes_no_window_twice(
    bars: Path, tmp_path: Path
) -> None:
    (tmp_path / "s.csv").write_text(table(SPANS))
    code, out = run(bars, tmp_path / "s.csv", "--ends", "half-open", "--shifts", "0", "20", "20")
    assert code == 0
    windows, _ = read_windows(out)
    assert set(windows.offset) == {0, 20}
    assert len(windows) == len(set(windows.window_id))


def test_a_seed_fixes_the_places(bars: Path, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(table(SPANS))
    starts = []
    for seed in ("1", "1", "2"):
        _, out = run(bars, tmp_path / "s.csv", "--ends", "half-open", "--seed", seed)
        starts.append(read_windows(out)[0].spans[:, 0].tolist())
    assert starts[0] == starts[1] != starts[2]


def test_bare_times_beside_bars_of_two_offsets_need_a_zone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = 1_710_050_400  # 2024-03-10 06:00 UTC, 01:00 in New York; clocks go on at 07:00
    time = pa.array(first + 60 * np.arange(300), pa.timestamp("s", tz="America/New_York"))
    bars = pa.table({"timestamp": time, **{name: np.ones(300) for name in OHLC}})
    pa.csv.write_csv(bars, tmp_path / "bars.csv")
    (tmp_path / "s.csv").write_text(table([("2024-03-10 03:30", "2024-03-10 03:40", "up")]))
    code, _ = run(tmp_path / "bars.csv", tmp_path / "s.csv", "--ends", "half-open")
    assert code == 10
    assert "expected one, as the bars are of -04:00 and -05:00; say which: --tz" in (
        capsys.readouterr().err
    )
    zone = ("--tz", "America/New_York")
    code, out = run(tmp_path / "bars.csv", tmp_path / "s.csv", "--ends", "half-open", *zone)
    assert code == 0
    windows, _ = read_windows(out)
    begin = (windows.start_time[0] // 10**9 - first) // 60
    assert (windows.spans[0] + begin).tolist() == [90, 100]  # 03:30 is 90 minutes after 01:00


def test_windows_without_a_span_are_cut_counted_and_passed_over(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marked = [*SPANS, (600, 780, "long")]  # left out, but no window without a span shows it
    (tmp_path / "s.csv").write_text(table(marked))
    code, out = run(bars, tmp_path / "s.csv", "--ends", "half-open", "--negatives", "4")
    assert code == 0
    printed = capsys.readouterr().out
    assert "4 of 4 windows without a span kept" in printed
    assert "types: down 1, spike 1, up 2" in printed
    rows = pq.read_table(out).to_pylist()[4:]
    assert [row["window_id"] for row in rows] == ["none0", "none1", "none2", "none3"]
    begins = [(row["start_timestamp"].timestamp() - 1_704_205_800) / 60 for row in rows]
    assert all(b - a >= 105 for a, b in pairwise(begins))
    for row, begin in zip(rows, begins, strict=True):
        assert (row["label"], row["expansion_start"], row["expansion_end"]) == (None, None, None)
        assert all(begin + 105 <= start or begin >= stop for start, stop, _ in marked)
    windows, faults = read_windows(out)
    assert len(windows) == 4
    assert [fault.row for fault in faults] == [4, 5, 6, 7]
    assert "windows without are passed over" in faults[0].expected
    code, _ = run(bars, tmp_path / "s.csv", "--ends", "half-open", "--negatives", "50")
    assert code == 0
    printed = capsys.readouterr().out
    assert "of 50 windows without a span kept" in printed
    assert "left out: no place free of spans" in printed


def test_corrections_are_applied(bars: Path, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(table(SPANS))
    corrections = [
        {"window_id": "span0_offset0", "action": "drop"},
        {"window_id": "span1_offset0", "action": "change", "start": 3, "stop": 9, "label": "flat"},
        {"window_id": "span2_offset0", "action": "keep"},
    ]
    (tmp_path / "c.json").write_text(json.dumps({"schema": 1, "corrections": corrections}))
    options = ["--ends", "half-open", "--corrections", str(tmp_path / "c.json")]
    code, out = run(bars, tmp_path / "s.csv", *options)
    assert code == 0
    windows, _ = read_windows(out)
    assert windows.window_id.tolist() == [f"span{i}_offset0" for i in (1, 2, 3)]
    assert windows.spans[0].tolist() == [3, 9]
    assert windows.labels[windows.types[0]] == "flat"


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (table(SPANS), [], "--ends inclusive or --ends half-open"),
        ("start,label\n1,x\n", [], "column end is missing"),
        (table([("", 5, "x")]), ["--ends", "inclusive"], "row 0, column start: expected a bar"),
        (table([(1.5, 5, "x")]), ["--ends", "inclusive"], "expected a whole bar number, got 1.5"),
        (
            table([("noon", "one", "x")]),
            ["--ends", "inclusive"],
            "row 0, column start: expected a time",
        ),
        (table([("", "", "x")]), ["--ends", "inclusive"], "holds no span, expected at least 1 row"),
        (
            table([("2024-01-02 18:00", 500, "x")]),
            ["--ends", "inclusive"],
            "columns start and end: expected both as times or both as bar numbers, got times",
        ),
        (
            table([("", "", "x"), (5, 7, "x"), ("", "", "x"), (5.5, 7, "x")]),
            ["--ends", "inclusive"],
            "row 3, column start: expected a whole bar number, got 5.5",
        ),
        (
            '[{"label": [{"start": 5, "end": 9, "timeserieslabels": ["a", "b"]}]}]',
            [],
            "1 left out: label: expected one word for the type",
        ),
        ("label\n{timeserieslabels\n", [], "not readable"),
        ('[{"annotations": []}]', [], "no region of a time series"),
        ("[{}]", [], "JSON that is a list of objects, expected a list of rows"),
        ("[" * 100_000, [], "not readable"),
        ("[", [], "not readable"),
        ("", [], "holds no span"),
        (table([(0, 500, "x")]), ["--ends", "inclusive"], "no window, expected at least 1"),
    ],
)
def test_bad_spans_are_one_line(
    bars: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    options: list[str],
    expected: str,
) -> None:
    (tmp_path / "s.csv").write_text(content)
    code, out = run(bars, tmp_path / "s.csv", *options)
    assert code == 10
    printed = capsys.readouterr().err.splitlines()
    assert expected in printed[-1]
    assert len(printed) == 2
    assert not out.exists()


@pytest.mark.train
def test_windows_of_any_words_are_trained_on(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("up", "down", "flat", "spike")
    rows = [(150 + 110 * i, 158 + 110 * i, words[i % 4]) for i in range(16)]
    (tmp_path / "s.csv").write_text(table(rows))
    code, out = run(bars, tmp_path / "s.csv", "--ends", "half-open", "--negatives", "1")
    assert code == 0
    options = ["--set", f"data.labelled={out.name}", "--set", "data.test=null", "--epochs", "1"]
    options += ["--set", "model.hidden_size=8", "--device", "cpu"]
    run_dir = tmp_path / "run"
    code = train(
        ["--config", str(SEED), "--data", str(tmp_path), "--run-dir", str(run_dir), *options]
    )
    assert code == 0
    note = "left out 1 rows: 1 x expansion_start: expected a span; windows without are passed over"
    assert note in capsys.readouterr().out
    card = json.loads((run_dir / "artifacts" / "model.json").read_text())
    assert card["types"] == sorted(words)
    assert card["recipe"]["model"]["num_types"] == 4
    assert card["bar_ns"] == 60_000_000_000


def test_bar_numbers_beside_bars_in_falling_order_count_from_the_oldest(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    falling = pq.read_table(bars)
    falling = falling.take(pa.array(np.arange(len(falling))[::-1]))
    pq.write_table(falling, tmp_path / "falling.parquet")
    (tmp_path / "s.csv").write_text(table(SPANS))
    found = []
    for one in (bars, tmp_path / "falling.parquet"):
        assert run(one, tmp_path / "s.csv", "--ends", "half-open")[0] == 0
        found.append(read_windows(tmp_path / "windows.parquet")[0].bars)
        is_said = "bar numbers count from the oldest bar, 0" in capsys.readouterr().out
        assert is_said == (one != bars)
    assert np.array_equal(found[0], found[1])
