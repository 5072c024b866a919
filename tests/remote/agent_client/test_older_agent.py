"""A run that an agent of before the package started: the client of today has it whole."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import list_runs
from moola_remote.protocol.frames import Data, Frame, FrameParser, StateFrame
from moola_remote.results.fetch import fetch_run
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.pods import AgentPod, old_agent, wait_until

pytestmark = pytest.mark.process

RUN = "20260101-000000-old-abcd"
WAITS = 'echo ready; while [ ! -e "$MOOLA_RUN_DIR/.go" ]; do sleep 0.02; done; echo done'


def test_it_is_listed_followed_and_fetched(
    transport: Transport, endpoint: Endpoint, pod: AgentPod, tmp_path: Path
) -> None:
    old = pod.root / "agent" / "0123456789abcdef.py"
    old.parent.mkdir(parents=True)
    old.write_bytes(old_agent())
    argv = [endpoint.python, "-ISB", str(old), "--root", str(pod.root), "start"]
    spec = json.dumps({"run_id": RUN, "argv": ["sh", "-c", WAITS], "grace_s": 1})
    subprocess.run(argv, input=spec.encode(), check=True, capture_output=True)
    pod.wait(RUN, "RUNNING")
    old_supervisor = pod.stored(RUN)["supervisor"]

    agent = Agent(transport, root=str(pod.root), python=endpoint.python)
    assert [(run.run_id, run.state) for run in list_runs(agent)] == [(RUN, "RUNNING")]
    (pod.folder(RUN) / ".go").touch()
    frames = _follow(agent)
    assert isinstance(frames[-1], StateFrame)
    assert frames[-1].state["state"] == "SUCCEEDED"
    log = b"".join(one.data for one in frames if isinstance(one, Data) and one.file == "log")
    assert log == b"ready\ndone\n"
    wait_until(lambda: pod.stored(RUN)["manifest_sha256"])
    fetched = fetch_run(transport, agent, RUN, tmp_path / "results", what="all")
    assert (fetched.folder / "log").read_bytes() == log
    assert pod.stored(RUN)["supervisor"] == old_supervisor
    names = {path.name for path in (pod.root / "agent").iterdir()}
    assert names == {old.name, f"{agent.digest}.pyz"}


def _follow(agent: Agent) -> list[Frame]:
    """Every frame of the run, to the last."""
    channel, parser = agent.open("follow", RUN), FrameParser()
    frames: list[Frame] = []
    try:
        while True:
            piece = channel.read(1 << 16, 20.0)
            if not piece:
                return frames
            frames += parser.feed(piece)
    finally:
        channel.close()
