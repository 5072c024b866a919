from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from jobs.train import main as train
from jobs.windows import main
from moola_core.data.windows import read_windows

NUM_BARS = 2000
OHLC = ("open", "high", "low", "close")
SPANS = [(200, 207, "up"), (420, 440, "down"), (900, 905, "spike"), (1500, 1512, "up")]
SEED = Path(__file__).parents[2] / "configs" / "train" / "seed.yaml"


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    close = 100 + rng.normal(0, 0.1, NUM_BARS).cumsum()
    opened = np.r_[close[0], close[:-1]]
    high, low = np.maximum(opened, close) + 0.05, np.minimum(opened, close) - 0.05
    time = pa.array(1_704_205_800 + 60 * np.arange(NUM_BARS), pa.timestamp("s", tz="UTC"))
    columns = {"open": opened, "high": high, "low": low, "close": close}
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    pq.write_table(pa.table({"timestamp": time, **columns}), path)
    return path


def stamp(bar: int, zone: str = "") -> str:
    return str(np.datetime64(1_704_205_800 + 60 * bar, "s")).replace("T", " ") + zone


def run(bars: Path, spans: Path, *options: str) -> tuple[int, Path]:
    out = spans.with_name("windows.parquet")
    code = main(["--bars", str(bars), "--spans", str(spans), "--out", str(out), *options])
    return code, out


def table(rows: Sequence[tuple[object, object, str]], header: str = "start,end,label") -> str:
    return header + "\n" + "".join(f"{a},{b},{word}\n" for a, b, word in rows)


def label_studio(start: int, stop: int, word: str) -> dict[str, object]:
    value = {"start": stamp(start), "end": stamp(stop - 1), "instant": False}
    return {"type": "timeserieslabels", "value": {**value, "timeserieslabels": [word]}}


FORMATS: dict[str, tuple[str, str, list[str]]] = {
    "bars-inclusive": (
        "s.csv",
        table([(a, b - 1, w) for a, b, w in SPANS]),
        ["--ends", "inclusive"],
    ),
    "bars-half-open": ("s.csv", table(SPANS), ["--ends", "half-open"]),
    "excel": (
        "s.csv",
        "\ufeff" + table([(a, b, w) for a, b, w in SPANS], "Start,Stop,Type").replace(",", ";"),
        ["--ends", "half-open"],
    ),
    "times-inclusive": (
        "s.csv",
        table([(stamp(a), stamp(b - 1), w) for a, b, w in SPANS]),
        ["--ends", "inclusive"],
    ),
    "times-half-open": (
        "s.tsv",
        table([(stamp(a), stamp(b), w) for a, b, w in SPANS]).replace(",", "\t"),
        ["--ends", "half-open"],
    ),
    "inside-a-bar": (
        "s.csv",
        table([(stamp(a)[:-2] + "31", stamp(b - 1)[:-2] + "59", w) for a, b, w in SPANS]),
        ["--ends", "inclusive"],
    ),
    "another-zone": (
        "s.csv",
        table([(stamp(a - 300, "-05:00"), stamp(b - 301, "-05:00"), w) for a, b, w in SPANS]),
        ["--ends", "inclusive"],
    ),
    "rectangles": (
        "s.csv",
        table(
            [
                (f"{1_704_205_800 + 60 * (b - 1)},1.5", f"{1_704_205_800 + 60 * a},2.5", w)
                for a, b, w in SPANS
            ],
            "time1,price1,time2,price2,text",
        ),
        [],
    ),
    "audacity": (
        "s.txt",
        "".join(f"{60 * a:.6f}\t{60 * b:.6f}\t{w}\n" for a, b, w in SPANS),
        [],
    ),
    "label-studio": (
        "s.json",
        json.dumps(
            [
                {
                    "id": 1,
                    "data": {"csv": "x"},
                    "annotations": [
                        {"was_cancelled": False, "result": [label_studio(*one) for one in SPANS]}
                    ],
                }
            ]
        ),
        [],
    ),
    "label-studio-min": (
        "s.json",
        json.dumps(
            [{"id": 1, "csv": "x", "label": [label_studio(*one)["value"] for one in SPANS]}]
        ),
        [],
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_spans(bars: Path, tmp_path: Path, name: str) -> None:
    file, content, options = FORMATS[name]
    (tmp_path / file).write_text(content)
    code, out = run(bars, tmp_path / file, *options)
    assert code == 0
    assert_the_spans(bars, out)


@pytest.mark.parametrize(
    "name", ["label-studio.json", "label-studio-min.json", "label-studio.csv", "label-studio.tsv"]
)
def test_what_label_studio_wrote_is_read(bars: Path, tmp_path: Path, name: str) -> None:
    shutil.copy(Path(__file__).parent / "span_files" / name, tmp_path / name)
    code, out = run(bars, tmp_path / name)
    assert code == 0
    assert_the_spans(bars, out)


@pytest.mark.parametrize("kind", ["times", "bars"])
def test_a_book_of_excel_is_read(bars: Path, tmp_path: Path, kind: str) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["Start", "End", "Label"])
    for start, stop, word in SPANS:
        ends = [np.datetime64(stamp(bar)).item() for bar in (start, stop)]
        book.active.append([*(ends if kind == "times" else (start, stop)), word])
    book.save(tmp_path / "s.xlsx")
    code, out = run(bars, tmp_path / "s.xlsx", "--ends", "half-open")
    assert code == 0
    assert_the_spans(bars, out)


@pytest.mark.parametrize("kind", ["feather", "stream", "records", "comments", "no-suffix"])
def test_tables_of_other_kinds_are_read(bars: Path, tmp_path: Path, kind: str) -> None:
    columns = [pa.array(list(part)) for part in zip(*SPANS, strict=True)]
    spans, path = pa.table(columns, names=["start", "end", "label"]), tmp_path / "s.arrow"
    if kind == "feather":
        pa.feather.write_feather(spans, path)
    elif kind == "stream":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, spans.schema) as stream:
            stream.write_table(spans)
    elif kind == "records":
        path = tmp_path / "s.json"
        path.write_text(json.dumps(spans.to_pylist()))
    elif kind == "comments":
        path = tmp_path / "s.csv"
        path.write_text("# marked by hand\n" + table(SPANS))
    else:
        path = tmp_path / "spans"
        pq.write_table(spans, path)
    code, out = run(bars, path, "--ends", "half-open")
    assert code == 0
    assert_the_spans(bars, out)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("start,end,label\n", "holds no span, expected at least 1 row; mark some"),
        ("# nothing yet\n", "holds no span, expected at least 1 row; mark some"),
        ("500,510,up\n600,610,up\n", "add a line of names: start,end,label"),
    ],
)
def test_a_list_that_says_too_little_is_refused_with_the_cure(
    bars: Path, tmp_path: Path, content: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.csv").write_text(content)
    assert run(bars, tmp_path / "s.csv", "--ends", "half-open")[0] == 10
    assert says in capsys.readouterr().err


def assert_the_spans(bars: Path, out: Path) -> None:
    windows, faults = read_windows(out)
    assert faults == []
    assert windows.labels == ("down", "spike", "up")
    series = pq.read_table(bars)
    first = (windows.start_time // 10**9 - 1_704_205_800) // 60
    found = windows.spans + first[:, None]
    assert found.tolist() == [[a, b] for a, b, _ in SPANS]
    for row, begin in enumerate(first):
        np.testing.assert_array_equal(
            windows.bars[row, :, 3], series["close"].to_numpy()[begin : begin + 105]
        )
    assert [windows.labels[kind] for kind in windows.types] == [word for *_, word in SPANS]


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
        ("[{}]", [], "no region of a time series"),
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
