from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import pytest

from jobs.common.paths import found, make_folder, output, own_artifacts, require_place
from jobs.tune import main as tune
from moola_core.errors import ConfigError

pytestmark = pytest.mark.train

JOBS = [
    path.stem
    for path in sorted(Path("jobs").glob("*.py"))
    if "ArgumentParser(" in path.read_text(encoding="utf-8")
]


def test_a_run_finds_its_neighbour_by_id_and_its_data_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("runs/mine", "runs/other", "data/bars", "code"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "code")
    monkeypatch.setenv("MOOLA_RUN_DIR", str(tmp_path / "runs" / "mine"))
    monkeypatch.setenv("MOOLA_DATA_DIR", str(tmp_path / "data"))
    assert found("other") == tmp_path / "runs" / "other"
    assert found("bars") == tmp_path / "data" / "bars"
    assert found("none") == Path("none")
    (tmp_path / "code" / "other").mkdir()
    assert found("other") == Path("other")
    assert output("spans.csv") == tmp_path / "runs" / "mine" / "spans.csv"
    assert output(str(tmp_path)) == tmp_path
    assert own_artifacts() == tmp_path / "runs" / "mine" / "artifacts"


def test_a_place_that_can_not_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file.csv").touch()
    for path, says in (
        (tmp_path, "a folder, expected a file; name one in it"),
        (tmp_path / "none" / "x.csv", "no such folder, .*; make it first"),
        (tmp_path / "file.csv" / "x.csv", "no such folder, .*; make it first"),
    ):
        with pytest.raises(ConfigError, match=f"^--out {path}: {says}"):
            require_place("--out", path)
    for path in (tmp_path / "file.csv", tmp_path / "file.csv" / "deeper"):
        with pytest.raises(ConfigError, match=f"^--out {path}: can't be made, .*; name another"):
            make_folder("--out", path)
    require_place("--out", tmp_path / "file.csv")
    make_folder("--out", tmp_path / "new" / "deeper")
    make_folder("--out", tmp_path / "new" / "deeper")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write to any folder
    with pytest.raises(ConfigError, match=r"no right to write to .*, expected a folder"):
        require_place("--out", tmp_path / "file.csv")


def test_an_input_is_not_replaced_under_whatever_name(tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    bars.touch()
    (tmp_path / "link.csv").symlink_to(bars)
    for name in ("bars.csv", "link.csv", "./bars.csv"):
        with pytest.raises(ConfigError, match=r"an input, which would be replaced, expected a new"):
            require_place("--out", tmp_path / name, [None, tmp_path / "gone.csv", bars])
    require_place("--out", tmp_path / "spans.csv", [bars])
    require_place("--out", tmp_path / "spans.csv", [tmp_path / "spans.csv"])


def test_outside_of_a_run_a_path_is_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOOLA_RUN_DIR", raising=False)
    monkeypatch.delenv("MOOLA_DATA_DIR", raising=False)
    assert found("other") == output("other") == Path("other")
    assert own_artifacts() is None


def test_a_run_that_tunes_another_leaves_that_one_as_its_manifest_says(
    small_run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(small_run, tmp_path / "other")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "other").rglob("*")}
    monkeypatch.setenv("MOOLA_RUN_DIR", str(tmp_path / "mine"))
    assert tune(["other", "--data", str(data)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "other").rglob("*")} == before
    assert (tmp_path / "mine" / "artifacts" / "decoder.yaml").is_file()


def test_tuning_a_fetched_run_changes_no_file_of_its_manifest(
    small_run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(small_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    monkeypatch.delenv("MOOLA_RUN_DIR", raising=False)
    assert tune([str(run), "--data", str(data)]) == 0
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", JOBS)
def test_the_help_of_each_job_has_an_example(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, f"jobs.{name}", raising=False)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"jobs.{name}", run_name="__main__", alter_sys=True)
    assert end.value.code == 0
    assert f"    python -m jobs.{name} " in capsys.readouterr().out
