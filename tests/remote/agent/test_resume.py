"""A run that goes on from another's checkpoints: files of its own, from here or from elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.support.pods import AgentPod, wait_until

pytestmark = pytest.mark.process

BEGIN = (
    'cd "$MOOLA_RUN_DIR"; mkdir -p checkpoints/epoch-0001 checkpoints/.epoch-0002.7;'
    "echo one >checkpoints/epoch-0001/state; echo half >checkpoints/.epoch-0002.7/state; exit 1"
)
GO_ON = 'echo "from $MOOLA_RESUME_DIR: $(cat "$MOOLA_RESUME_DIR"/checkpoints/*/state)"'


def test_a_run_goes_on_with_files_of_its_own(pod: AgentPod) -> None:
    parent = pod.shell(BEGIN)
    before = pod.wait(parent)
    child = pod.shell(
        f'{GO_ON}; echo two >"$MOOLA_RUN_DIR/checkpoints/epoch-0001/state"', parent=parent
    )
    assert pod.wait(child)["state"] == "SUCCEEDED"
    folder = pod.folder(child)
    assert (folder / "log").read_text() == f"from {folder}: one\n"
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["epoch-0001"]
    assert (pod.folder(parent) / "checkpoints/epoch-0001/state").read_text() == "one\n"
    assert pod.stored(parent) == before
    # What it goes on with it keeps, so that it can be gone on with before it wrote any.
    grandchild = pod.shell(GO_ON, parent=child)
    assert pod.wait(grandchild)["last_lines"] == [f"from {pod.folder(grandchild)}: two"]


def test_a_run_without_checkpoints_or_one_that_lives_is_refused(pod: AgentPod) -> None:
    spec = {"run_id": "test-child", "argv": ["true"]}
    for script, code in (("exit 1", "no_checkpoint"), ("sleep 600", "not_ended")):
        parent = pod.shell(script)
        if code == "no_checkpoint":
            pod.wait(parent)
        assert pod.ask("start", stdin={**spec, "parent": parent})["error"] == code
    assert pod.ask("start", stdin={**spec, "parent": "test-none"})["error"] == "unknown_run"
    assert pod.ask("start", stdin={**spec, "parent": "../x"})["error"] == "bad_request"
    assert not pod.folder("test-child").exists()
    assert not list((pod.root / "runs").glob(".new-*"))


def test_checkpoints_that_were_sent_are_taken_once(pod: AgentPod) -> None:
    digest, files = seal_checkpoint(pod, b"three")
    answer = pod.ask("seal", "checkpoints", digest, stdin={"files": files})
    assert answer["ok"], answer
    spec = {"run_id": "test-sent", "argv": ["sh", "-c", GO_ON], "parent": "test-far-away"}
    spec["checkpoints"] = digest
    assert pod.ask("start", stdin=spec)["started"]
    assert pod.wait("test-sent")["last_lines"] == [f"from {pod.folder('test-sent')}: three"]
    wait_until(lambda: not list((pod.root / "checkpoints").glob(f"{digest}*")))
    assert not pod.ask("start", stdin=spec)["started"]
    again = pod.ask("start", stdin={**spec, "run_id": "test-again"})
    assert again["error"] == "no_checkpoint"


def seal_checkpoint(pod: AgentPod, content: bytes) -> tuple[str, list[dict[str, object]]]:
    """One checkpoint as a client sends it: its digest and its list."""
    sha256, path = hashlib.sha256(content).hexdigest(), Path("epoch-0003", "state")
    digest = hashlib.sha256(f"100644 {sha256} {path}\0".encode()).hexdigest()[:16]
    file = pod.root / "checkpoints" / f".incoming-{digest}" / path
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return digest, [{"path": str(path), "size": len(content), "sha256": sha256, "mode": "100644"}]
