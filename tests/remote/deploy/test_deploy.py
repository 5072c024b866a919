"""What a deploy looks at on the laptop, and the names it makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.config.settings import Project as Settings
from moola_remote.config.settings import find_project
from moola_remote.deploy.declared import Dependencies
from moola_remote.deploy.deploy import data_paths, gpu_name, make_plan
from moola_remote.errors import ConfigError
from moola_remote.pods.pod import Pod
from moola_remote.protocol.answers import PodGpu, PodInfo
from tests.support.projects import Project, make_project

pytestmark = pytest.mark.process


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = make_project(tmp_path / "project", tmp_path / "state")
    monkeypatch.setenv("MOOLA_STATE_DIR", str(project.state))
    monkeypatch.chdir(project.folder)
    return project


@pytest.fixture
def settings(files: Project) -> Settings:
    return find_project(files.folder)


def test_the_first_folder_that_exists_is_the_data(files: Project, settings: Settings) -> None:
    assert data_paths(settings) == {"numbers": files.folder / "data" / "numbers"}
    (files.folder / "no" / "such" / "folder").mkdir(parents=True)
    assert data_paths(settings) == {"numbers": files.folder / "no" / "such" / "folder"}


def test_a_chosen_path_is_taken_from_where_the_user_stands(
    files: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files.folder / "data")
    chosen = {"numbers": Path("numbers/one.txt")}
    assert data_paths(settings, chosen)["numbers"].samefile(files.folder / "data/numbers/one.txt")
    with pytest.raises(ConfigError, match=r"no such file or folder, tried .*/data/gone"):
        data_paths(settings, {"numbers": Path("gone")})


def test_a_plan_is_the_code_the_data_and_the_requirements(files: Project) -> None:
    plan = make_plan(Pod())
    assert plan.source is not None
    assert plan.source["dirty"] is False
    assert plan.dependencies.requirements == ""
    assert plan.dependencies.source == "requirements.txt"
    assert plan.data is not None
    assert [file.path for file in plan.data.files] == ["numbers/one.txt"]
    assert "data/numbers/one.txt" in {file.path for file in plan.code.files}


def test_an_environment_is_named_by_requirements_and_python() -> None:
    names = {
        Dependencies(requirements=requirements).digest(python)
        for requirements in ("", "numpy\n")
        for python in ("3.10.1", "3.11.7")
    }
    assert len(names) == 4
    assert all(len(name) == 16 for name in names)


def test_what_git_ignores_and_no_data_names_is_reported(files: Project) -> None:
    assert make_plan(Pod()).missed == ""
    files.write(".gitignore", "results/\n*.tmp\nbuild/\nmore/\n.env\n*.ckpt\ndata/\n")
    files.write("build/lib.txt", "junk\n")
    files.write("results/old.txt", "results are known\n")
    files.write("more/set.csv", "1,2\n" * 300_000)
    files.write("start.ckpt", "weights\n")
    missed = make_plan(Pod()).missed
    assert missed.startswith("ignored by git and not named as data: more/ (1.2 MB), start.ckpt (")
    assert missed.endswith("name what the job reads in [tool.moola-remote.data] in pyproject.toml")
    files.write("pyproject.toml", '[tool.moola-remote.data]\nm = ["more"]\nd = ["data"]\n')
    assert "more/" not in make_plan(Pod()).missed
    (files.folder / "pyproject.toml").unlink()
    files.write("moola-remote.toml", "")
    missed = make_plan(Pod()).missed
    assert missed.endswith("name what the job reads in [data] in moola-remote.toml")
    with pytest.raises(ConfigError, match=r"add it to \[data\] in moola-remote.toml"):
        data_paths(find_project(files.folder), {"more": Path("more")})


def test_a_gpu_is_reported_with_its_memory() -> None:
    gpu = PodGpu(name="NVIDIA RTX 4090", memory_total=24 * 2**30)
    assert gpu_name(PodInfo(python="3", gpus=[gpu, gpu])) == "NVIDIA RTX 4090, 24 GiB"
    assert gpu_name(PodInfo(python="3")) == ""
