"""Lists of spans in every format, made into the same windows."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from moola_core.data.windows import read_windows
from tests.jobs.span_lists import SPANS, run, table, write_bars


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bars(tmp_path_factory.mktemp("bars"))


def stamp(bar: int, zone: str = "") -> str:
    return str(np.datetime64(1_704_205_800 + 60 * bar, "s")).replace("T", " ") + zone


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


@pytest.mark.parametrize("kind", ["json", "csv"])
@pytest.mark.parametrize("are_bars", [True, False])
def test_points_of_several_tasks_are_no_bars_of_one_series(
    bars: Path, tmp_path: Path, kind: str, are_bars: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each task counts from 0; times are the same in every task."""
    tasks = []
    for i, span in enumerate(SPANS):
        value = dict(label_studio(*span)["value"])  # type: ignore[call-overload]
        if are_bars:
            value.update(start=20 + i, end=25 + i)
        tasks.append((i, value))
    spans = tmp_path / f"s.{kind}"
    if kind == "json":
        spans.write_text(json.dumps([{"id": i, "csv": "x", "label": [one]} for i, one in tasks]))
    else:
        with spans.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "csv", "label"])
            rows.writerows([i, "x", json.dumps([one])] for i, one in tasks)
    code, out = run(bars, spans)
    if are_bars:
        assert code == 10
        assert f"regions of {len(SPANS)} tasks (0, 1, " in capsys.readouterr().err
        spans.write_text(json.dumps({"id": 0, "csv": "x", "label": [one for _, one in tasks[:1]]}))
        assert run(bars, spans)[0] == 0  # of one task they are
    else:
        assert code == 0
        assert_the_spans(bars, out)


@pytest.mark.parametrize(("start", "end"), [("start_idx", "end_idx"), ("Start Index", "End Index")])
def test_more_names_of_bar_numbers(bars: Path, tmp_path: Path, start: str, end: str) -> None:
    rows = [f"{20 * i + 20},{20 * i + 26},up" for i in range(3)]
    (tmp_path / "s.csv").write_text("\n".join([f"{start},{end},label", *rows, ""]))
    code, _ = run(bars, tmp_path / "s.csv", "--ends", "inclusive")
    assert code == 0


@pytest.mark.parametrize("options", [[], ["--tz", "UTC"]])
def test_a_line_says_in_which_zone_times_without_one_are_read(
    bars: Path, tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = "times of spans have no zone: read as UTC, as the bars; else --tz\n"
    spans = tmp_path / "s.csv"
    spans.write_text(table([(stamp(a), stamp(b), w) for a, b, w in SPANS]))
    assert run(bars, spans, "--ends", "half-open", *options)[0] == 0
    assert (said in capsys.readouterr().out) is (not options)
    spans.write_text(table([(stamp(a, "Z"), stamp(b, "Z"), w) for a, b, w in SPANS]))
    assert run(bars, spans, "--ends", "half-open", *options)[0] == 0
    assert said not in capsys.readouterr().out


def test_an_hour_that_comes_twice_is_not_told_by_the_order_of_spans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = np.datetime64("2024-11-03T04:00", "m") + np.arange(600)  # 00:00 in New York
    prices = {name: np.ones(600) for name in ("open", "high", "low", "close")}
    time = pa.array(first.astype("datetime64[s]"), pa.timestamp("s", tz="America/New_York"))
    pq.write_table(pa.table({"timestamp": time, **prices}), tmp_path / "bars.parquet")
    spans = tmp_path / "s.csv"
    spans.write_text(table([("2024-11-03 01:10", "2024-11-03 01:20", "up")]))
    options = ["--ends", "half-open"]
    for fold, says in (
        ([], "--fold order (as rows follow)"),
        (["order"], "such as -04:00, or say"),
    ):
        more = ["--fold", *fold] if fold else []
        assert run(tmp_path / "bars.parquet", spans, *options, *more)[0] == 10
        assert says in capsys.readouterr().err
    spans.write_text(table([("2024-11-03 01:10-05:00", "2024-11-03 01:20-05:00", "up")]))
    code, out = run(tmp_path / "bars.parquet", spans, *options)
    assert code == 0
    windows, _ = read_windows(out)
    begin = (windows.start_time[0] - first[0].astype("datetime64[ns]").astype(int)) // 60 // 10**9
    assert (windows.spans + begin).tolist() == [[130, 140]]
