"""A command of the waiting program is what the started program would be."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.pods import PREFORKED, AgentPod
from tests.support.projects import CLIENT, PROGRAM, make_project

pytestmark = pytest.mark.process


@pytest.mark.parametrize("words", [("--version",), ("runs", "--no-such"), ("config", "show")])
def test_the_client_answers_in_the_same_way(tmp_path: Path, words: tuple[str, ...]) -> None:
    project = make_project(tmp_path / "project", tmp_path / "state")
    project.env["COLUMNS"] = "70"
    with project.running(PROGRAM, *words) as process:
        out, err = process.communicate()
    assert CLIENT.can_run(project.environment())
    done = project.run(*words)
    assert (done.returncode, done.stdout, done.stderr) == (process.returncode, out, err)


@pytest.mark.parametrize(("verb", "code"), [("list", 0), ("probe", 0), ("start", 1)])
def test_so_does_the_agent(tmp_path: Path, verb: str, code: int) -> None:
    pod = AgentPod(tmp_path / "root")
    done = subprocess.run(pod.argv(verb), capture_output=True, input=b"{}", check=False)
    words = ("--root", str(pod.root), verb)
    same = PREFORKED.run(words, os.environ, b"{}", tmp_path, 60)
    assert done.returncode == same.returncode == code
    assert done.stderr == same.stderr == b""
    assert set(done.stdout.split(b'"')[1::2]) == set(same.stdout.split(b'"')[1::2])


def test_it_is_a_process_with_a_folder_and_an_environment_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.moola-remote]\npod = "of-the-folder"\n')
    done = CLIENT.run(("runs",), os.environ, b"", tmp_path, 60)
    assert done.returncode == 10
    assert b"of-the-folder" in done.stderr
    done = CLIENT.run(("runs",), {**os.environ, "MOOLA_POD": "of-the-env"}, b"", tmp_path, 60)
    assert b"of-the-env" in done.stderr
    assert "MOOLA_POD" not in os.environ
    assert Path.cwd() != tmp_path


def test_another_start_of_python_is_left_to_subprocess() -> None:
    assert not CLIENT.can_run({**os.environ, "PYTHONPATH": "elsewhere"})
    assert not CLIENT.can_run({**os.environ, "LC_ALL": "elsewhere"})
