"""The Pythons of a pod: too old ones are left, another is found, real ones of every version."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moola_remote.agent_client.client import Agent, probe
from moola_remote.agent_client.interpreters import Interpreter, find_interpreter, parse
from moola_remote.errors import UnreachableError
from tests.support.fakes import ShellTransport
from tests.support.pythons import find_python

pytestmark = pytest.mark.process

OLD = ["2.7", "3.6", "3.7"]
GOOD = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]


def _python(version: str) -> Path:
    """A real interpreter of this version."""
    found = find_python(version)
    if found is None:
        pytest.skip(f"no Python {version} on this machine")
    return found


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of Pythons on the PATH; none below HOME."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "mkdir", "mv", "wc", "printf", "rsync"):
        path = shutil.which(name)
        assert path or name == "rsync", name
        if path:
            (folder / name).symlink_to(path)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return folder


def _agent(tmp_path: Path, python: str = "python3") -> Agent:
    return Agent(ShellTransport(tmp_path), root=str(tmp_path / "root"), python=python)


def _wrapper(path: Path, python: Path) -> None:
    """A Python under another name: a link would hide from it where its library is."""
    path.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    path.chmod(0o755)


@pytest.mark.parametrize("version", GOOD)
def test_each_python_that_is_promised_answers(
    version: str, bin_folder: Path, tmp_path: Path
) -> None:
    _wrapper(bin_folder / "python3", _python(version))
    assert probe(_agent(tmp_path)).python.startswith(f"{version}.")


@pytest.mark.parametrize("version", OLD)
def test_an_old_python_gives_way_to_another(
    version: str, bin_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _wrapper(bin_folder / "python3", _python(version))
    _wrapper(bin_folder / "python3.9", _python("3.9"))
    agent = _agent(tmp_path)
    assert probe(agent).python.startswith("3.9.")
    assert "(Python 3.9." in caplog.text
    rounds = len(agent.transport.commands)  # type: ignore[attr-defined]
    probe(agent)
    assert len(agent.transport.commands) == rounds + 1  # type: ignore[attr-defined]


def test_no_python3_at_all_gives_way_to_one_below_home(bin_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "home" / ".pyenv" / "versions" / "3.10.1" / "bin"
    place.mkdir(parents=True)
    _wrapper(place / "python3", _python("3.10"))
    assert probe(_agent(tmp_path)).python.startswith("3.10.")


@pytest.mark.parametrize("version", OLD)
def test_only_an_old_python_is_named_with_its_version(
    version: str, bin_folder: Path, tmp_path: Path
) -> None:
    _wrapper(bin_folder / "python3", _python(version))
    with pytest.raises(UnreachableError, match=rf"is {version}\.\d+\)?.*install Python 3.8 to"):
        # Also where this machine has others in /opt or /usr/local, they are not the pod's.
        _without_others(_agent(tmp_path))


def _without_others(agent: Agent) -> None:
    found = find_interpreter(agent.transport, "python3")
    if not str(found.path).startswith(("/opt", "/usr/local")):
        raise AssertionError(found)
    pytest.skip("this machine has Pythons in /opt or /usr/local")


def test_an_old_python_of_the_pods_file_is_refused_and_another_is_named(
    bin_folder: Path, tmp_path: Path
) -> None:
    old = _python("3.7")
    _wrapper(bin_folder / "python3", _python("3.11"))
    with pytest.raises(UnreachableError) as caught:
        probe(_agent(tmp_path, str(old)))
    assert "is 3.7." in str(caught.value)
    assert "write `python: " in caught.value.cure


def test_torch_then_venv_then_the_newest_that_is_promised() -> None:
    lines = b"""\
3.12.1 0 1 /a
noise
3.9.2 1 1 /b
3.10.1 1 0 /c
3.9.2 1 1 /b
3.x.1 1 1 /d
"""
    found = parse(lines)
    assert found[0] == Interpreter("/a", (3, 12, 1), has_torch=False, has_venv=True)
    assert [one.path for one in found] == ["/a", "/b", "/c"]
