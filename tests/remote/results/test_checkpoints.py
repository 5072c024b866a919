"""A mirror of checkpoints, and pods that lie or vanish under it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent_client.client import Agent
from moola_remote.errors import TransferError, UnreachableError
from moola_remote.protocol.events import CheckpointEvent
from moola_remote.results.checkpoints import MAX_FAILED, Mirror
from moola_remote.results.fetch import fetch_checkpoints
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.fetching import RUN, Pod
from tests.support.plain import is_one_line

pytestmark = pytest.mark.process

STATE = "checkpoints/epoch-0001/state"


@pytest.fixture
def pod(transport: Transport, endpoint: Endpoint, tmp_path: Path) -> Pod:
    made = Pod(tmp_path, transport, endpoint.python)
    state = json.loads((made.run / "state.json").read_bytes())
    (made.run / "state.json").write_text(json.dumps({**state, "state": "RUNNING"}))
    return made


def bring(pod: Pod, agent: Any = None, **options: Any) -> list[str]:
    return fetch_checkpoints(pod.transport, agent or pod.agent, RUN, pod.results, **options)


def test_what_is_complete_comes_and_nothing_else_of_a_run_that_goes_on(pod: Pod) -> None:
    (pod.run / "checkpoints" / ".epoch-0002").mkdir()
    (pod.run / "checkpoints" / ".epoch-0002" / "state").write_text("half")
    assert bring(pod) == [STATE]
    assert (pod.final / STATE).read_bytes() == (pod.run / STATE).read_bytes()
    assert [path.name for path in pod.final.iterdir()] == ["checkpoints"]
    assert bring(pod, known=[STATE]) == []


def test_a_checkpoint_whose_name_is_no_utf8_comes_once(pod: Pod) -> None:
    name = os.fsdecode(b"epoch-\xe9")
    (pod.run / "checkpoints" / name).mkdir()
    (pod.run / "checkpoints" / name / "state").write_text("odd")
    paths = bring(pod)
    assert paths == [STATE, "checkpoints/epoch-\\xe9/state"]
    assert (pod.final / "checkpoints" / name / "state").read_text() == "odd"
    assert bring(pod, known=paths) == []


class Lying:
    """An agent that declares what it likes."""

    def __init__(self, agent: Agent, *files: dict[str, Any]) -> None:
        self._agent, self.files = agent, list(files)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)

    def call(self, *_: str, **__: Any) -> dict[str, Any]:
        return {"ok": True, "files": self.files}


@pytest.mark.parametrize("path", ["checkpoints/../../x", "/etc/passwd"])
def test_a_name_that_leads_out_is_refused(pod: Pod, path: str) -> None:
    file = {"path": path, "size": 1, "sha256": "0" * 64}
    with pytest.raises(TransferError):
        bring(pod, Lying(pod.agent, file))
    assert not pod.results.exists()


def test_an_odd_name_is_shown_escaped(pod: Pod) -> None:
    file = {"path": "checkpoints/\x1b[2J", "size": 1, "sha256": "0" * 64}
    with pytest.raises(TransferError) as caught:
        bring(pod, Lying(pod.agent, file))
    assert is_one_line(str(caught.value))


def test_another_files_name_is_passed_over_and_a_wrong_hash_promotes_nothing(pod: Pod) -> None:
    files = [{"path": name, "size": 5, "sha256": "0" * 64} for name in ("log", STATE)]
    assert bring(pod, Lying(pod.agent, files[0])) == []
    with pytest.raises(TransferError, match="missing, or not as the manifest says"):
        bring(pod, Lying(pod.agent, *files))
    assert not pod.final.exists()


def test_a_mirror_bears_a_lost_connection_and_a_vanished_checkpoint_but_not_for_ever(
    pod: Pod,
) -> None:
    reported: list[str] = []
    tries = iter([UnreachableError("x: lost")])

    def reach() -> Agent:
        for error in tries:
            raise error
        return pod.agent

    mirror = Mirror(reach, RUN, pod.results, reported.append)
    mirror.on_event(CheckpointEvent())
    assert reported == []
    mirror.on_event(CheckpointEvent())
    assert reported == ["checkpoints/epoch-0001"]
    mirror.on_event(CheckpointEvent())
    assert reported == ["checkpoints/epoch-0001"]

    gone = {"path": "checkpoints/gone/state", "size": 5, "sha256": "0" * 64}
    lying: Any = Lying(pod.agent, gone)
    mirror = Mirror(lambda: lying, RUN, pod.results, reported.append)
    for _ in range(MAX_FAILED - 1):
        mirror.look()
    with pytest.raises(TransferError):
        mirror.look()
