"""Fetched runs as tables, files and Python objects."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from moola_remote.cli.error_handler import run as moola
from moola_remote.errors import ConfigError
from moola_remote.export.tables import epochs_table, scores_table, spans_table, write_table
from moola_remote.protocol.result import load_result
from moola_remote.report.library import load
from tests.report.made import make_run

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
FIRST, SECOND = "20260101-120000-jade-aaaa", "20260102-120000-jade-bbbb"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results folder of the current project: two fetched runs."""
    (tmp_path / "pyproject.toml").write_text("[tool.moola-remote]\n")
    monkeypatch.chdir(tmp_path)
    for name, seed in ((FIRST, 0), (SECOND, 1)):
        make_run(tmp_path / "results" / name, seed=seed)
    return tmp_path / "results"


def test_a_run_is_loaded_by_the_beginning_of_its_name(results: Path) -> None:
    assert load("20260101").run_id == FIRST
    assert load().run_id == SECOND
    assert load(FIRST, results).folder == results / FIRST
    with pytest.raises(ConfigError, match="2 fetched runs begin with that"):
        load("2026")
    with pytest.raises(ConfigError, match="not fetched"):
        load("2027")


def test_a_row_an_epoch_holds_what_the_event_says(results: Path) -> None:
    table = epochs_table([load(FIRST), load(SECOND)])
    lines = (results / FIRST / "events.jsonl").read_text().splitlines()
    reported = [event for line in lines if (event := json.loads(line))["kind"] == "epoch"]
    rows = [row for row in table.to_pylist() if row["run_id"] == FIRST]
    assert [row["epoch"] for row in rows] == [event["epoch"] for event in reported]
    for row, event in zip(rows, reported, strict=True):
        for group in ("train", "validation", "sigma", "share", "scores"):
            assert {name: row[f"{group}/{name}"] for name in event[group]} == event[group]
    assert table.num_rows == 2 * len(reported)


def test_what_one_run_lacks_is_null(results: Path) -> None:
    path = results / SECOND / "events.jsonl"
    path.write_text(path.read_text().replace('"total"', '"whole"'))
    column = epochs_table([load(FIRST), load(SECOND)])["train/total"].to_pylist()
    assert None not in column[: len(column) // 2]
    assert set(column[len(column) // 2 :]) == {None}


def test_scores_and_spans_are_those_of_the_files(results: Path) -> None:
    run = load(FIRST)
    scores = [row for row in scores_table([run]).to_pylist() if row["baseline"] is None]
    reported = load_result(results / FIRST / "result.json").scores.validation
    assert {row["score"]: row["value"] for row in scores} == {
        name: one.value for name, one in reported.items()
    }
    spans = spans_table([run]).to_pylist()
    rows = parquet.read_table(results / FIRST / "artifacts" / "predictions.parquet").to_pylist()
    for row, span in zip(rows, spans, strict=True):
        for name in ("window_id", "start", "stop", "true_start", "true_stop", "confidence"):
            assert span[name] == row[name]
    assert {row["true_type"] for row in spans} == {"consolidation", "retracement"}


def test_a_run_without_scores_or_windows_makes_empty_tables(results: Path) -> None:
    folder = results / FIRST
    for name in ("result.json", "artifacts/predictions.parquet", "events.jsonl"):
        (folder / name).unlink()
    run = load(FIRST)
    for make in (epochs_table, scores_table, spans_table):
        table = make([run])
        assert table.num_rows == 0
        assert table.column_names[0] == "run_id"


def test_a_table_without_a_row_is_reported_with_the_run_it_is_of(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (results / SECOND / "events.jsonl").unlink()
    assert moola(["export", "--to", "a.csv"]) == 0
    err = capsys.readouterr().err
    assert f"latest run: {SECOND}\n" in err
    assert f"note: a.csv has no row, there are no epochs of {SECOND}\n" in err


@pytest.mark.parametrize("table", ["epochs", "scores", "spans"])
def test_csv_and_parquet_hold_the_same(results: Path, table: str) -> None:
    for name in ("a.csv", "a.parquet"):
        assert moola(["export", FIRST, SECOND, "--table", table, "--to", name]) == 0
    whole = parquet.read_table("a.parquet")
    kinds = csv.ConvertOptions(
        column_types=whole.schema,
        null_values=[""],
        strings_can_be_null=True,
    )
    assert repr(csv.read_csv("a.csv", convert_options=kinds).to_pylist()) == repr(whole.to_pylist())
    assert set(whole["run_id"].to_pylist()) == {FIRST, SECOND}


def test_a_spreadsheet_reads_no_formula(tmp_path: Path) -> None:
    words = ["=HYPERLINK(1)", "+1", "-2+3", "@SUM(1)", "plain", "a=b", None]
    table = pa.table({"window_id": words, "value": [-0.5, -1.0, 0.0, 1.0, 2.0, 3.0, None]})
    write_table(table, tmp_path / "a.csv")
    rows = (tmp_path / "a.csv").read_text().splitlines()
    assert rows[0] == '"window_id","value"'
    assert rows[1:5] == ['"\'=HYPERLINK(1)",-0.5', '"\'+1",-1', '"\'-2+3",0', '"\'@SUM(1)",1']
    assert rows[5:] == ['"plain",2', '"a=b",3', ","]
    write_table(table, tmp_path / "a.parquet")  # there text is text
    assert parquet.read_table(tmp_path / "a.parquet") == table


def test_an_export_that_fails_leaves_what_was_there(results: Path) -> None:
    Path("old.csv").write_text("kept\n")
    table = epochs_table([load()])
    for wrong in ("old.txt", "no/folder/a.csv", "results"):
        with pytest.raises(ConfigError, match=re.escape(wrong)):
            write_table(table, Path(wrong))
    assert Path("old.csv").read_text() == "kept\n"
    assert not list(Path().glob(".*csv*"))


def test_what_was_not_read_is_reported(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = results / FIRST / "events.jsonl"
    (reported,) = [json.loads(one) for one in path.read_text().splitlines() if '"epoch": 8,' in one]
    many = (json.dumps({**reported, "epoch": epoch}) for epoch in range(1, 5002))
    path.write_text("\n".join([*many, "{"]) + "\n")
    assert moola(["export", FIRST, "--to", "a.parquet"]) == 0
    err = capsys.readouterr().err
    assert f"note: {FIRST}: events.jsonl: of its epochs the last 5000 are read" in err
    assert f"note: {FIRST}: events.jsonl: 1 lines are no events" in err
    assert parquet.read_table("a.parquet")["epoch"].to_pylist()[0] == 2


def test_nothing_to_write_is_a_wrong_word(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moola(["export"]) == 2
    assert "expected --to FILE or --tensorboard" in capsys.readouterr().err


def test_tensorboard_reads_every_number(results: Path) -> None:
    pytest.importorskip("tensorboardX")
    for _ in range(2):  # the second replaces the first
        assert moola(["export", FIRST, "--tensorboard"]) == 0
    assert [path.name for path in (results / "tensorboard").iterdir()] == [FIRST]
    run = load(FIRST)
    for side in ("train", "validation"):
        (file,) = (results / "tensorboard" / FIRST / side).iterdir()
        reported = dict(scalars(file))
        for epoch, event in run.view.epochs.items():
            for name, value in getattr(event, side).items():
                assert reported[f"loss/{name}", epoch] == pytest.approx((value, event.t))
        assert ("scores/f1" if side == "validation" else "pace/seconds", 1) in reported


def scalars(file: Path) -> list[tuple[tuple[str, int], tuple[float, float]]]:
    """Tag and step, value and time of a TFRecord file, by TensorFlow's description of it."""
    from tensorboardX.proto.event_pb2 import Event

    data, found = file.read_bytes(), []
    while data:
        (length,) = struct.unpack_from("<Q", data)
        event = Event.FromString(data[12 : 12 + length])
        found += [
            ((value.tag, event.step), (value.simple_value, event.wall_time))
            for value in event.summary.value
        ]
        data = data[16 + length :]
    return found


def test_the_examples_of_the_page_run(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert "0.600" in capsys.readouterr().out
