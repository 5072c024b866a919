"""The command line by itself: wrong words and files, how every error ends; no pod is reached."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from moola_remote.cli.error_handler import run
from moola_remote.cli.main import program
from moola_remote.protocol.refusal import PACKAGES, refusal
from tests.support.lanes import HANGS_S
from tests.support.projects import NOWHERE, PROGRAM, Project, pod_file

pytestmark = pytest.mark.process


Refused = Callable[[int, str], str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """The one line on stderr of a command line that fails with a code."""

    def look(code: int, words: str) -> str:
        assert run(words.split()) == code
        out, err = capsys.readouterr()
        (line,) = filter(None, err.splitlines())  # click ends the line of a ^C
        assert line.startswith("error: ")
        assert out == ""
        return str(line)

    return look


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--pod moon deploy", 10, "pod 'moon': unknown, expected one of host, local; choose one"),
        ("--pod hst deploy", 10, "expected one of host, local; did you mean host?"),
        ("--pod locl.2 deploy", 10, "expected one of host, local; did you mean local?"),
        ("--pod= deploy", 10, "error: pod '': unknown"),
        ("--pod ../../x deploy", 10, "unknown"),
        ("train --recipe wild", 10, "recipe 'wild': unknown, expected one of calm"),
        ("train --epochs 0", 2, "'--epochs': 0 is not in the range x>=1; see moola-remote train"),
        ("train --set epochs", 2, "expected KEY=VALUE, got 'epochs'"),
        ("train --set =3", 2, "expected KEY=VALUE, got '=3'"),
        ("train --data numbers=gone", 10, "data 'numbers': no such file or folder, tried"),
        ("train --data number=data", 10, "unknown name, expected one of numbers"),
        ("run", 2, "Missing argument"),
        ("run --data number=data true -c", 10, "unknown name, expected one of numbers"),
        ("frobnicate", 2, "No such command 'frobnicate'"),
        ("compare", 10, "results: no fetched runs; moola-remote fetch results"),
        ("fetch nothing", 2, "'nothing' is not one of"),
        ("fetch", 2, "|all}'. Choose from: results, logs, checkpoints, all; see"),
        ("fetch --run", 2, "'--run' requires an argument; see moola-remote fetch --help"),
        ("runs show --diff --x", 2, "see moola-remote runs show --help"),
        ("pods add --name", 2, "'--name' requires an argument; see moola-remote pods add --help"),
        ("--pod", 2, "'--pod' requires an argument; see moola-remote --help"),
    ],
)
def test_a_wrong_word_is_one_line_and_starts_nothing(
    here: Project, refused: Refused, words: str, code: int, said: str
) -> None:
    assert said in refused(code, words)
    assert not (here.state / "local-pod").exists()


def test_a_project_without_recipes_is_told_of_run(here: Project, refused: Refused) -> None:
    (here.folder / "recipes" / "calm.yaml").unlink()
    line = refused(10, "train")
    assert "recipe 'calm': " in line
    assert "recipes has no recipes, expected calm.yaml in it; write it; or start a script" in line
    assert line.endswith("moola-remote run -- python SCRIPT")


def test_a_training_that_gpus_can_not_share_is_refused_before_anything_starts(
    here: Project, refused: Refused
) -> None:
    schema = '{"type": "object", "x-shared-with": ["pretrain"]}'
    here.write("recipes/schema.json", schema)
    line = refused(10, "train --recipe calm --gpus 2")
    assert "recipe calm has nothing that several GPUs could share" in line
    assert "sweep --seeds" in line
    assert not (here.state / "local-pod").exists()


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("configs/pods/local.yaml", "provider: [", "local.yaml: not YAML, "),
        ("configs/pods/local.yaml", "- a\n", "expected keys and values, got list"),
        ("configs/pods/local.yaml", "provider: local\nprot: 1\n", "'prot', expected one of"),
        (
            "configs/pods/local.yaml",
            "provider: moon\n",
            "provider: expected 'local' or 'runpod' or 'ssh', got 'moon'",
        ),
        ("configs/pods/local.yaml", "provider: local\nname: x\n", "unknown key 'name'"),
        ("configs/pods/local.yaml", "provider: local\nport: 2\n", "chosen by the local pod"),
        ("pyproject.toml", "[tool.moola-remote\n", "pyproject.toml: not TOML, "),
        ("pyproject.toml", "[tool.moola-remote]\nrecipies = 'x'\n", "did you mean recipes?"),
        ("pyproject.toml", "[tool.moola-remote]\npod = 'moon'\n", "expected one of host, local"),
        ("moola-remote.toml", "pod = 'local'\n", "expected one of them"),
        ("requirements.txt", None, "requirements.txt: can't be read, No such file"),
        ("data", None, "data 'numbers': no such file or folder, tried"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(
    here: Project, refused: Refused, path: str, text: str | None, said: str
) -> None:
    if text is not None:
        here.write(path, text)
    elif (here.folder / path).is_dir():
        shutil.rmtree(here.folder / path)
    else:
        (here.folder / path).unlink()
    assert said in refused(10, "deploy")
    assert not (here.state / "local-pod").exists()


@pytest.mark.parametrize("text", ["tool = 1\n", "[tool.other]\n"])
def test_without_settings_it_is_said_what_is_assumed(
    here: Project, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    here.write("pyproject.toml", text)
    shutil.rmtree(here.folder / "configs")
    assert run(["run", "--dry-run", "--", "python", "tiny/train.py"]) == 0
    done = capsys.readouterr()
    assert "command: python tiny/train.py" in done.out
    for said in ("assumed", "that git lists", "requirements.txt", "local, on this machine"):
        assert said in done.err, done.err


def test_a_read_only_disk_of_this_machine_is_no_internal_error(
    here: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "/state/snapshots")

    monkeypatch.setattr("moola_remote.cli.sweep_actions._drive", write)
    words = ["--try", "x=0..1", "--goal", "loss:min", "--", "python", "tiny/train.py", "{x}"]
    assert run(["sweep", *words]) == 14
    said = "error: /state/snapshots: can't be written, Read-only file system; make /state/snapshots"
    assert said in capsys.readouterr().err


def test_the_pods_of_a_sweep_are_those_that_are_named(
    here: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here.write("pyproject.toml", "")
    shutil.rmtree(here.folder / "configs")
    monkeypatch.setattr("moola_remote.cli.sweep_actions._drive", lambda *_: None)
    words = ["--try", "x=0..1", "--goal", "loss:min", "--", "python", "tiny/train.py", "{x}"]
    for given, said in (
        (["--pods", "local.2,local.3"], "  pods:         local.2, local.3\n"),
        (["--pods", "local.2"], "  pod:          local.2\n"),
        ([], "  pod:          local, on this machine\n"),
    ):
        assert run(["sweep", *given, *words]) == 0
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("pods", ["2", "host,host.2"])
def test_a_sweep_takes_no_machine_twice(here: Project, refused: Refused, pods: str) -> None:
    sweep = "--try x=0..1 --goal loss:min -- python tiny/train.py {x}"
    line = refused(10, f"--pod host sweep --pods {pods} {sweep}")
    assert "pod host.2: " in line
    assert "is one machine, expected 'host'" in line
    assert not (here.folder / "results").exists()


def test_a_home_is_no_project(
    here: Project, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.write("pyproject.toml", "")
    monkeypatch.setenv("HOME", str(here.folder))
    assert "no project here or above" in refused(10, "deploy")


def test_a_script_is_named_as_the_pod_sees_it(
    here: Project, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here.folder / "tiny")
    line = refused(10, "run python train.py")
    assert line.endswith("name it as tiny/train.py")


def test_an_identity_file_is_missed_only_when_it_is_needed(
    here: Project, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    here.write("configs/pods/host.yaml", pod_file(NOWHERE, identity_file="~/gone"))
    assert run(["pods"]) == 0
    assert "host                 ssh      external" in capsys.readouterr().out
    line = refused(10, "--pod host deploy")
    assert "identity_file: no such file" in line
    assert "ssh-keygen" in line


def test_a_pod_whose_file_is_wrong_hides_no_other(
    here: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    here.write("configs/pods/torn.yaml", "provider: [")
    assert run(["--json", "pods"]) == 0
    pods = map(json.loads, capsys.readouterr().out.splitlines())
    states = {pod["pod"]: pod["state"] for pod in pods}
    assert states == {"host": "foreign", "local": "absent", "torn": "wrong"}


def test_git_is_not_needed_nor_a_commit(here: Project, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(here.folder / ".git")
    assert run(["deploy", "--dry-run"]) == 0
    here.git("init", "--quiet")
    assert run(["deploy", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("code: ") == 2


def test_python_m_is_the_program_too() -> None:
    words = [sys.executable, "-m", "moola_remote", "--no-such"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("; see moola-remote --help\n")


@pytest.mark.parametrize("words", [[], ["config"]])
def test_without_a_word_the_help_is_shown(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("Usage: ")
    assert "\nCommands:\n" in said


@pytest.fixture
def failing() -> Iterator[Callable[[BaseException], None]]:
    """Gives the program a command, ``boom``, that ends with an error of the test's choice."""

    def add(error: BaseException) -> None:
        @program.command("boom")
        def boom() -> None:
            raise error

    yield add
    program.commands.pop("boom", None)


def test_a_bug_is_one_line_and_its_traceback_is_kept_without_secrets(
    here: Project,
    refused: Refused,
    failing: Callable[[BaseException], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "rpa_12345678")
    failing(ZeroDivisionError(f"no rpa_12345678 in\n{Path.home()}"))
    line = refused(1, "boom")
    kept = here.state / "bug.log"
    assert line.startswith("error: internal error, ZeroDivisionError: no *** in ~; please report")
    assert str(kept) in line
    assert "in boom" in kept.read_text()
    assert "rpa_12345678" not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_traceback_that_can_not_be_kept_is_shown(
    here: Project,
    failing: Callable[[BaseException], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    here.state.write_text("in the way")
    failing(ZeroDivisionError())
    assert run(["boom"]) == 1
    *shown, line = capsys.readouterr().err.splitlines()
    assert any("in boom" in one for one in shown)
    assert "can't be written" in line


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_one_line(
    error: BaseException, refused: Refused, failing: Callable[[BaseException], None]
) -> None:
    failing(error)
    assert refused(130, "boom") == "error: interrupted"


def test_nobody_reading_is_no_error(here: Project) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [PROGRAM, "--json", "pods"],
        cwd=here.folder,
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_verbose_reports_what_we_do_and_nothing_of_our_libraries(here: Project) -> None:
    script = """
import logging
from moola_remote.cli.error_handler import run
run(["-v", "pods"])
logging.getLogger("moola_remote.x").info("ours")
logging.getLogger("paramiko.transport").info("theirs")
logging.getLogger("invoke").info("theirs")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=here.folder, capture_output=True, text=True, check=True
    )
    (line,) = done.stderr.splitlines()
    assert line.endswith(" ms  ours")


def test_packages_that_can_not_be_installed_name_the_cure() -> None:
    error = refusal({"error": "environment", "message": "installing packages failed: ERROR: x"})
    assert error.cure == PACKAGES
