"""What a run's folder says, whole, in part, broken and hostile."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from moola_remote.config.flatten import MAX_KEYS
from moola_remote.errors import ConfigError
from moola_remote.report.predictions import MAX_WINDOWS, read_windows
from moola_remote.report.run_files import read_run
from tests.report.made import make_rows, make_run, write


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "20260101-000000-jade-abcd")


def test_everything_of_a_run_is_read(run: Path) -> None:
    found = read_run(run)
    assert found.notes == []
    assert (found.run_id, found.sides, len(found.windows)) == (run.name, ["validation"], 30)
    assert found.config["training.epochs"] == "8"
    assert len(found.view.epochs) == 8
    assert len(found.telemetry) == 20
    assert found.state is not None
    assert found.spec is not None
    assert (found.state.state, found.spec.price_per_hour) == ("SUCCEEDED", 0.5)


@pytest.mark.parametrize("gone", ["spec.json", "state.json", "result.json", "config.yaml"])
def test_what_is_missing_is_left_out(run: Path, gone: str) -> None:
    (run / gone).unlink()
    assert read_run(run).notes == []


def test_a_folder_of_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a fetched run"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("spec.json", b"{"),
        ("result.json", b"[]"),
        ("state.json", b'{"state": "WELL"}'),
        ("config.yaml", b"a: [b"),
        ("config.yaml", b"\xff\xfe\xff"),
        ("artifacts/predictions.parquet", b"PAR1"),
        ("artifacts/model.json", b'{"types": [1]}'),
        ("spec.json", b"x" * 5_000_000),
    ],
)
def test_what_is_broken_is_noted_and_the_rest_is_read(run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    (note,) = read_run(run).notes
    assert note.startswith(f"not shown, {name}")


def test_a_link_leads_nowhere(run: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("{}")
    (run / "spec.json").unlink()
    (run / "spec.json").symlink_to(secret)
    assert read_run(run).spec is None


def test_a_list_of_tables_is_shown_so_that_two_can_differ(run: Path) -> None:
    units = "[{kind: sma, bars: 20}, {kind: wilder, bars: [1]}, 3, [4]]"
    (run / "config.yaml").write_text(f"ensemble: {{units: {units}}}\n")
    found = read_run(run).config["ensemble.units"]
    assert found == "(kind sma, bars 20), (kind wilder, bars …), 3, …"


def test_a_config_that_grows_when_it_is_read_is_cut(run: Path) -> None:
    bomb = "".join(f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}\n" for i in range(1, 40))
    (run / "config.yaml").write_text("a0: &a0 {x: 1, y: 2}\n" + bomb)
    assert len(read_run(run).config) <= MAX_KEYS


def changed(name: str, value: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[1].update({name: value})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (changed("start", -1), "row 1: start, stop: expected a span in 105 bars"),
        (changed("true_stop", 106), "row 1: true_start, true_stop: expected a span in 105 bars"),
        (changed("span_probs", []), "row 1: span_probs: expected 1 to 2000 bars, got 0"),
        (changed("span_probs", [2.0] * 105), "row 1: span_probs.*: expected values in 0..1"),
        (changed("span_probs", [math.nan] * 105), "row 1: span_probs.*: expected values in 0..1"),
        (changed("bars", [1.0] * 7), "row 1: bars: expected 4 values a bar, got 7 for 105 bars"),
        (changed("window_id", None), "row 1: window_id: expected a value, got null"),
        (changed("type_probs", []), "row 1: true_type, type_probs: expected 1 to 16 types"),
        (changed("true_type", 99), "row 1: true_type, type_probs: expected 1 to 16 types"),
        (changed("hit_bars", 50), "row 1: said_bars, hit_bars: expected counts"),
        (lambda rows: [row.pop("start") for row in rows], "column start is missing"),
        (
            lambda rows: [row.update(start="first") for row in rows],
            "column start: expected int64, got string",
        ),
    ],
)
def test_a_row_that_can_not_be_is_refused_by_name(
    tmp_path: Path, spoil: Callable[[list[dict[str, Any]]], None], said: str
) -> None:
    rows = make_rows(3, 0, 0.5, "validation")
    spoil(rows)
    path = tmp_path / "predictions.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(ConfigError, match=said):
        read_windows(path)


def test_predictions_of_an_older_job_are_read(tmp_path: Path) -> None:
    rows = make_rows(3, 0, 0.5, "validation")
    for row in rows:
        for name in ("group", "start_time", "true_type", "said_bars", "hit_bars", "bars"):
            del row[name]
    path = tmp_path / "predictions.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    (first, *_) = read_windows(path)
    assert first.bars is None
    assert first.said_bars == first.stop - first.start


def test_more_windows_than_the_limit_are_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    parquet.write_table(pa.table({"window_id": pa.nulls(MAX_WINDOWS + 1, pa.string())}), path)
    with pytest.raises(ConfigError, match="expected at most 20000 windows"):
        read_windows(path)


def test_names_are_made_safe(run: Path) -> None:
    write(run / "artifacts" / "model.json", {"types": ["a\u202eb\x1b[31m"]})
    assert read_run(run).types == [r"a\u202eb\x1b[31m"]
