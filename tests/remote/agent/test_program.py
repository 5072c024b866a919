"""The agent as one file: how it is packed, and that a process which stays needs it no more."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest

from moola_remote.agent_client.program import PACKAGE, agent_program
from moola_remote.protocol.frames import FrameParser, StateFrame
from tests.support.pods import AGENT, AgentPod, wait_until

pytestmark = pytest.mark.process

WAITS = 'echo ready; while [ ! -e "$MOOLA_RUN_DIR/.go" ]; do sleep 0.02; done; echo done; exit 7'
FOUND = {
    path.parents[1].name.rpartition(".")[0]: path
    for path in sorted(Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python3"))
}
PYTHONS = [
    pytest.param(sys.executable, id="this"),
    *(
        pytest.param(
            str(FOUND.get(version)),
            id=version,
            marks=pytest.mark.skipif(version not in FOUND, reason=f"no Python {version} here"),
        )
        for version in ("3.8", "3.13")
    ),
]


@pytest.fixture
def copied(pod: AgentPod) -> AgentPod:
    """A pod with an agent of its own, in its folder, that a test may remove."""
    pod.agent = pod.root / "agent" / "copy.pyz"
    pod.agent.parent.mkdir(parents=True)
    shutil.copy(AGENT, pod.agent)
    return pod


def test_the_same_sources_give_the_same_bytes_named_by_their_hash() -> None:
    digest, content = agent_program()
    assert agent_program.__wrapped__() == (digest, content)
    assert digest == hashlib.sha256(content).hexdigest()[:16]
    entries = ZipFile(io.BytesIO(content)).infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {path.name for path in PACKAGE.glob("*.py")} == {
        Path(name).name for name in names if name.startswith("moola_remote/agent/")
    }
    assert {entry.compress_type for entry in entries} == {ZIP_STORED}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o600}


def test_what_a_verb_needs_of_the_agent_is_imported_with_its_module() -> None:
    """An import inside a function would read the file while a run goes on."""
    for path in PACKAGE.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        late = {
            ast.unparse(node)
            for function in ast.walk(tree)
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
            for node in ast.walk(function)
            if isinstance(node, (ast.Import, ast.ImportFrom))
        }
        assert not [line for line in late if "moola_remote" in line], path.name


@pytest.mark.parametrize("python", PYTHONS)
def test_a_supervisor_whose_file_is_removed_takes_the_job_to_its_end(
    copied: AgentPod, python: str
) -> None:
    copied.python = python
    run_id = copied.shell(WAITS, on_finish='echo "$MOOLA_STATE" >.finished')
    copied.wait_for_log(run_id, "ready")
    copied.wait(run_id, "RUNNING")
    supervisor = copied.stored(run_id)["supervisor"]
    copied.agent.unlink()
    (copied.folder(run_id) / ".go").touch()
    # Nobody is asked until the end: the supervisor that was there has stored it.
    state = copied.wait(run_id)
    assert (state["state"], state["returncode"]) == ("FAILED", 7)
    assert state["supervisor"] == supervisor
    assert state["last_lines"] == ["ready", "done"]
    wait_until((copied.folder(run_id) / ".finished").exists)
    wait_until(lambda: copied.stored(run_id)["on_finish"] == 0)
    # What on_finish wrote makes a new manifest.
    manifest = copied.folder(run_id) / "manifest.json"
    wait_until(
        lambda: (
            copied.stored(run_id)["manifest_sha256"]
            == hashlib.sha256(manifest.read_bytes()).hexdigest()
        )
    )
    assert b".finished" in manifest.read_bytes()
    copied.agent = AGENT


@pytest.mark.parametrize("python", PYTHONS)
def test_a_queued_run_whose_file_is_removed_starts_and_ends(copied: AgentPod, python: str) -> None:
    copied.python = python
    first = copied.shell(WAITS)
    copied.wait(first, "RUNNING")
    second = copied.shell("echo ran")
    assert copied.stored(second)["state"] == "QUEUED"
    copied.agent.unlink()
    (copied.folder(first) / ".go").touch()
    assert copied.wait(second)["state"] == "SUCCEEDED"
    assert (copied.folder(second) / "log").read_text() == "ran\n"
    copied.agent = AGENT


@pytest.mark.parametrize("python", PYTHONS)
def test_a_follower_whose_file_is_removed_sends_the_rest(copied: AgentPod, python: str) -> None:
    copied.python = python
    run_id = copied.shell(WAITS)
    copied.wait(run_id, "RUNNING")
    argv = copied.argv("follow", run_id)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as follower:
        assert follower.stdout
        sent = b""
        while b"ready\n" not in sent:
            piece = os.read(follower.stdout.fileno(), 1 << 16)
            assert piece, sent
            sent += piece
        copied.agent.unlink()
        (copied.folder(run_id) / ".go").touch()
        sent += follower.stdout.read()
        assert follower.wait() == 0
    assert b"done\n" in sent
    frames = list(FrameParser().feed(sent))
    assert isinstance(frames[-1], StateFrame)
    assert (frames[-1].is_last, frames[-1].state["returncode"]) == (True, 7)
    copied.agent = AGENT


def test_words_are_utf8_whatever_the_locale_of_the_pod(pod: AgentPod, tmp_path: Path) -> None:
    """In one of Latin-1 Python would hand them on, and name files, in Latin-1."""
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", tmp_path / "de_DE"],
        capture_output=True,
        check=False,
    )
    if not (tmp_path / "de_DE").exists():
        pytest.skip(f"no locale of Latin-1 can be made here: {made.stderr!r}")
    environment = {**os.environ, "LOCPATH": str(tmp_path), "LC_ALL": "de_DE"}
    asked = {"run_id": "test-latin", "argv": ["sh", "-c", 'printf %s "$0"', "prüfung €"]}
    started = subprocess.run(
        pod.argv("start"),
        input=json.dumps(asked).encode(),
        capture_output=True,
        check=False,
        env=environment,
    )
    assert json.loads(started.stdout)["ok"], started
    assert pod.wait("test-latin")["state"] == "SUCCEEDED"
    assert (pod.folder("test-latin") / "log").read_bytes() == "prüfung €".encode()
