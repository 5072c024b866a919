"""Fetched runs: which a person means, and where they go."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.errors import ConfigError
from moola_remote.report.library import choose, fetched
from moola_remote.results.folder import make_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("20260102-a", "20260101-b", "20260103-c", ".staging-x", "20260104-unfinished"):
        (tmp_path / name).mkdir()
        if not name.endswith("unfinished"):
            (tmp_path / name / "result.json").write_text("{}")
    return tmp_path


def test_only_whole_runs_count_and_the_oldest_comes_first(folder: Path) -> None:
    assert [path.name for path in fetched(folder)] == ["20260101-b", "20260102-a", "20260103-c"]
    assert fetched(folder / "gone") == []


def test_without_names_the_latest_two_are_meant(folder: Path) -> None:
    assert [path.name for path in choose(folder, [])] == ["20260102-a", "20260103-c"]
    assert [path.name for path in choose(folder, ["20260103", "20260101-b"])] == [
        "20260103-c",
        "20260101-b",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("2026", "3 fetched runs begin with that: 20260101-b, 20260102-a, 20260103-c; name one"),
        ("2027", "not fetched, expected one of .*; moola-remote fetch results 2027"),
    ],
)
def test_a_name_must_mean_one(folder: Path, name: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(folder, [name])
    assert caught.match(f"run {name}: {said}")


def test_fetched_runs_without_a_result_are_not_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no fetched runs; moola-remote fetch results"):
        choose(tmp_path, [])
    run = tmp_path / "20260101-script"
    run.mkdir()
    (run / "spec.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"no fetched runs with a result\.json, .* MOOLA_RUN_DIR"):
        choose(tmp_path, [])
    assert choose(tmp_path, ["20260101"]) == [run]


def test_what_is_no_folder_takes_no_results(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/moola")):
        with pytest.raises(ConfigError, match=r"can't be written, .*; expected a folder"):
            make_folder(path)
