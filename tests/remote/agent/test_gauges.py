"""What a run reports of its machine: gauges, idle time, memory."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent import outcome, processes
from moola_remote.agent.gpus import idleness
from tests.support.pods import AgentPod, wait_until

pytestmark = pytest.mark.process


def test_the_gauges_are_read_while_it_runs(pod: AgentPod) -> None:
    run_id = pod.shell("sleep 0.5")
    pod.wait(run_id)
    lines = (pod.folder(run_id) / "events.jsonl").read_text().splitlines()
    event = json.loads(lines[0])
    assert event["kind"] == "telemetry"
    assert 0 < event["ram_used"] < event["ram_total"]
    assert event["disk_free"] > 0


def test_a_gpus_gauges_are_events_and_how_often_it_was_idle_is_reported(
    pod: AgentPod, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 0, 3, 1000, 24564, 55, 120.5\n")
    program.chmod(0o755)
    pod.env["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    run_id = pod.shell('while [ ! -e "$MOOLA_RUN_DIR/.go" ]; do sleep 0.02; done', price_per_hour=2)
    events = pod.folder(run_id) / "events.jsonl"
    wait_until(lambda: b"telemetry" in events.read_bytes())
    (pod.folder(run_id) / ".go").touch()
    state = pod.wait(run_id)
    assert (state["idle_share"], state["price_per_hour"]) == (1.0, 2)
    event = json.loads(events.read_text().splitlines()[0])
    assert event["idle"] is True
    assert event["gpus"] == [
        {
            "index": 0,
            "use_percent": 3.0,
            "memory_used": 1000 << 20,
            "memory_total": 24564 << 20,
            "temperature_c": 55.0,
            "power_w": 120.5,
        }
    ]


@pytest.mark.parametrize(
    ("uses", "gpu", "cpu", "idle"),
    [
        ([3.0, 90.0], 0, 50.0, True),
        ([3.0, 90.0], 1, 50.0, False),
        ([3.0, 90.0], None, 50.0, False),
        ([None], 0, 50.0, None),
        ([], None, 4.0, True),
        ([], None, 5.0, False),
        ([], None, None, None),
    ],
)
def test_idle_is_the_runs_own_gpu_or_the_cpu_where_there_is_none(
    uses: list[float | None], gpu: int | None, cpu: float | None, idle: bool | None
) -> None:
    gpus = [{"index": index, "use_percent": use} for index, use in enumerate(uses)]
    assert idleness({"gpus": gpus, "cpu_percent": cpu}, gpu) is idle


@pytest.mark.parametrize(
    ("end", "stopping", "state", "oom_killed"),
    [
        ({"status": 9, "oom_kills": 5}, None, "FAILED", True),
        ({"status": 137 << 8, "oom_kills": 5}, None, "FAILED", True),
        ({"status": 9, "oom_kills": 4}, None, "FAILED", False),
        ({"status": 1 << 8, "oom_kills": 5}, None, "FAILED", False),
        ({"status": 9, "oom_kills": 5}, "cancel", "CANCELLED", False),
        ({"status": 0, "oom_kills": 4}, "cancel", "CANCELLED", False),
        ({"status": 0, "oom_kills": 4}, "its limit was reached", "SUCCEEDED", False),
        ({"status": 143 << 8, "oom_kills": 4}, None, "PREEMPTED", False),
        ({"lost": "gone"}, None, "LOST", False),
        ({"lost": "gone"}, "cancel", "CANCELLED", False),
    ],
)
def test_out_of_memory_is_distinguished_from_other_ends(
    end: dict[str, Any], stopping: str | None, state: str, oom_killed: bool
) -> None:
    reported = outcome.outcome(end, stopping, {"oom_kills": 4})
    assert (reported["state"], reported["oom_killed"]) == (state, oom_killed)


@pytest.mark.parametrize(
    ("stopping", "state", "reason"),
    [
        (None, "LOST", "gone"),
        ("the pod is being stopped", "LOST", "gone"),
        ("cancel", "CANCELLED", "cancelled; its exit code is not known"),
    ],
)
def test_an_end_that_nobody_saw_is_lost_unless_it_was_asked_for(
    stopping: str | None, state: str, reason: str
) -> None:
    reported = outcome.outcome({"lost": "gone"}, stopping, None)
    assert (reported["state"], reported["reason"]) == (state, reason)
    assert (reported["returncode"], reported["signal"]) == (None, None)


def test_a_job_of_another_boot_has_used_none_of_its_time() -> None:
    """The clock began anew with the boot: what is left of a limit can't be known."""
    since = time.clock_gettime(time.CLOCK_BOOTTIME) - 3600
    assert outcome.seconds_since({"boot": processes.boot(), "since": since}) >= 3600
    assert outcome.seconds_since({"boot": "another", "since": since}) == 0.0
