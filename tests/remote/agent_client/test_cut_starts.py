"""Forty starts over SSH whose connection is cut in the middle: each job runs exactly once."""

from __future__ import annotations

import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import submit
from moola_remote.errors import UnreachableError
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.lanes import HANGS_S
from tests.support.lines import Line
from tests.support.pods import AgentPod

pytestmark = pytest.mark.process  # two servers, and jobs that they start

NUM_STARTS = 20  # on each of the two servers


def test_starts_that_are_cut_in_the_middle_and_tried_again_run_once(
    endpoint: Endpoint, transport: Transport, tmp_path: Path
) -> None:
    pod = AgentPod(Path(endpoint.root))
    agent = Agent(transport, root=endpoint.root, python=endpoint.python)
    agent.call("probe")
    whole_s, dice = HANGS_S, random.Random(4)
    for _ in range(3):  # the quickest: a moment of load would have the cuts come too late
        began = time.monotonic()
        submit(agent, {"run_id": f"test-whole-{secrets.token_hex(6)}", "argv": ["true"], "gpu": -1})
        whole_s = min(whole_s, time.monotonic() - began)

    def start(delay_s: float) -> tuple[str, bool]:
        run_id = f"test-cut-{secrets.token_hex(6)}"
        asked = {"run_id": run_id, "argv": ["sh", "-c", "echo ran"], "gpu": -1}
        is_cut = start_over_a_cut_line(endpoint, tmp_path / "known_hosts", asked, delay_s)
        submit(agent, asked)
        return run_id, is_cut

    with ThreadPoolExecutor(4) as threads:
        started = list(threads.map(start, [dice.uniform(0, whole_s) for _ in range(NUM_STARTS)]))
    for run_id, _ in started:
        assert pod.wait(run_id)["state"] == "SUCCEEDED"
        assert (pod.folder(run_id) / "log").read_text() == "ran\n"
    assert sum(is_cut for _, is_cut in started) > NUM_STARTS / 4


def start_over_a_cut_line(
    endpoint: Endpoint, known_hosts: Path, asked: dict[str, object], delay_s: float
) -> bool:
    """Ask for a start, and cut the line some time after that; whether no answer came."""
    line = Line(endpoint.port)
    far = connect(replace(endpoint, port=line.port), known_hosts=known_hosts)
    cut = threading.Timer(delay_s, line.cut)
    cut.start()
    try:
        submit(Agent(far, root=endpoint.root, python=endpoint.python), asked)
    except UnreachableError:
        return True
    finally:
        cut.join()
        far.close()
    return False
