"""The three commands of the user, and what belongs to them, on both SSH servers."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from unittest.mock import ANY

import pytest

from tests.support.projects import Project, make_project

pytestmark = [pytest.mark.e2e, pytest.mark.process]


def test_deploy_train_fetch_and_compare(project: Project) -> None:
    first = project.ok("deploy")
    for component in ("SSH connection", "GPU", "Python", "torch, CUDA", "code", "data", "depend"):
        assert component in first
    assert re.search(r"\nsent \d+\.\d kB$", first.rstrip())

    again = project.ok("deploy")
    assert "nothing to send: code, data and environment are already on the pod" in again

    trained = project.run("train", "--epochs", "2")
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.splitlines() == ["recipe calm, data 1", "epoch 1/2", "epoch 2/2"]
    assert "moola-remote fetch results" in trained.stderr

    folder, page, picture = project.ok("fetch", "results").splitlines()
    assert Path(page) == Path(folder) / "report.html"
    assert Path(picture) == Path(folder) / "artifacts" / "loss_curves.png"
    assert_is_as_the_manifest_says(Path(folder))
    assert json.loads(Path(folder, "spec.json").read_text())["source"]["dirty"] is False
    assert Path(folder).name in project.ok("compare", "--html", "compare.html")
    assert project.ok("report", "--out", "run.html") == "run.html\n"
    for page in ("compare.html", "run.html"):
        assert Path(folder).name in (project.folder / page).read_text()


def assert_is_as_the_manifest_says(folder: Path) -> None:
    listed = {
        file["path"]: file["sha256"]
        for file in json.loads((folder / "manifest.json").read_bytes())["files"]
        if not file["path"].startswith("checkpoints/")
    }
    there = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("manifest.json", "state.json", "report.html")
    }
    assert there == listed
    assert {"log", "events.jsonl", "config.yaml", "result.json", "spec.json"} < set(there)


def test_a_change_of_one_file_makes_a_new_snapshot_and_is_recorded(local_project: Project) -> None:
    local_project.ok("deploy")
    local_project.write("tiny/more.py", "ANSWER = 42\n")
    assert "=  data" in (shown := local_project.ok("deploy"))
    assert ", dirty" in shown
    local_project.ok("train", "--epochs", "1")
    folder = local_project.ok("fetch", "results").splitlines()[0]
    assert json.loads(Path(folder, "spec.json").read_text())["source"]["dirty"] is True


def test_another_file_may_be_the_data(local_project: Project) -> None:
    local_project.write("elsewhere/two.txt", "2\n")
    words = ("train", "--epochs", "1", "--data", "numbers=elsewhere")
    assert local_project.ok(*words).splitlines()[0] == "recipe calm, data 2"


def test_any_command_can_be_a_run(local_project: Project) -> None:
    script = "import os, sys; print(sys.argv[1:]); open(os.environ['MOOLA_RUN_DIR'] + '/x', 'w')"
    done = local_project.run("run", "--", "python", "-c", script, "--flag", "a b")
    assert done.stdout == "['--flag', 'a b']\n", done.stderr
    folder = Path(local_project.ok("fetch", "all").splitlines()[0])
    assert (folder / "x").read_bytes() == b""
    assert "-python-" in folder.name


def test_a_dry_run_shows_the_plan_and_does_nothing(local_project: Project) -> None:
    local_project.write("x.tmp", "")
    words = ("train", "--dry-run", "--epochs", "2", "--set", "a=b")
    done = local_project.run(*words)
    assert "python -m tiny.train --config recipes/calm.yaml --epochs 2 --set a=b" in done.stdout
    assert "not sent, ignored by git: x.tmp" in done.stderr
    (plan,) = local_project.json(*words)
    assert plan["data"]["files"] == 1
    root = local_project.state / "local-pod" / "root"
    assert not (root / "code" / plan["code"]["digest"]).exists()
    assert local_project.run("deploy").stderr.count("not sent") == 0  # it is ordinary


def test_what_is_no_ordinary_absence_is_reported(local_project: Project) -> None:
    local_project.write(".env", "TOKEN=abc\n")
    (local_project.folder / "away").symlink_to("/etc/hostname")
    reported = local_project.run("deploy").stderr
    assert "not sent, looks like a secret: .env" in reported
    assert "not sent, links that leave the tree: away" in reported


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        ("runs", "state", "SUCCEEDED"),
        ("runs --where f1>0.4 --sort f1", "values", {"f1": 0.5}),
        ("doctor", "ok", True),
        ("deploy", "code", {"mark": "same"}),
        ("fetch results", "files", 0),
        ("compare", "differences", {}),
        ("report", "report", ANY),
        ("cancel", "killed", 0),
    ],
)
def test_every_answer_can_be_had_as_json(
    words: str, key: str, value: object, finished: Project
) -> None:
    answer = finished.json(*words.split())[-1][key]
    assert answer == value or (isinstance(value, dict) and answer.items() >= value.items())


@pytest.fixture(scope="module")
def finished(local_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with one run that has ended and was fetched; it is only read."""
    project = make_project(tmp_path_factory.mktemp("read") / "project", local_state)
    project.ok("train", "--epochs", "1")
    project.ok("fetch", "results")
    return project


def test_following_as_json_gives_events_and_states(finished: Project) -> None:
    kinds = [line["kind"] for line in finished.json("attach")]
    assert kinds.count("epoch") == 1
    assert kinds[-1] == "state"
