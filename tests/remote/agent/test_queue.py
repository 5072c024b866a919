"""One job a GPU, first in first out; and the end of those that are no longer wanted."""

from __future__ import annotations

import re
import shutil
import time
import zipfile
from functools import partial
from pathlib import Path

import pytest

from tests.support.lanes import slowdown
from tests.support.pods import AgentPod, give_gpus, wait_until

pytestmark = pytest.mark.process

WAITS = 'echo ready; while [ ! -e "$MOOLA_RUN_DIR/.go" ]; do sleep 0.02; done'


def go(pod: AgentPod, run_id: str) -> None:
    (pod.folder(run_id) / ".go").touch()


def test_three_runs_take_their_turns_in_order(pod: AgentPod) -> None:
    runs = [pod.shell(WAITS) for _ in range(3)]
    pod.wait(runs[0], "RUNNING")
    assert [run["queue_position"] for run in pod.ask("list")["runs"]] == [None, 1, 2]
    for number, run_id in enumerate(runs):
        pod.wait(run_id, "RUNNING")
        later = [pod.stored(other)["state"] for other in runs[number + 1 :]]
        assert set(later) <= {"QUEUED"}
        go(pod, run_id)
        pod.wait(run_id)
    ends = [pod.stored(run_id)["ended_at"] for run_id in runs]
    assert ends == sorted(ends)


def test_a_queued_run_is_cancelled_without_ever_running(pod: AgentPod) -> None:
    first, second, third = (pod.shell(WAITS) for _ in range(3))
    pod.wait(first, "RUNNING")
    answer = pod.ask("cancel", second)
    assert (answer["state"]["state"], answer["killed"]) == ("CANCELLED", 0)
    assert answer["state"]["reason"] == "cancelled before it started"
    assert (pod.folder(second) / "log").read_text() == ""
    assert pod.state(third)["queue_position"] == 1
    go(pod, first)
    pod.wait(third, "RUNNING")


def test_a_holder_that_dies_with_its_job_frees_the_gpu(pod: AgentPod) -> None:
    first, second = pod.shell("sleep 600"), pod.shell("true")
    pod.wait(first, "RUNNING")
    pod.kill(first, "supervisor", "keeper", "job")
    assert pod.wait(second)["state"] == "SUCCEEDED"


@pytest.mark.parametrize("whom", [("supervisor",), ("supervisor", "keeper")])
def test_the_gpu_stays_taken_while_the_job_lives(pod: AgentPod, whom: tuple[str, ...]) -> None:
    first, second = pod.shell(WAITS), pod.shell("true")
    pod.wait(first, "RUNNING")
    pod.kill(first, *whom)
    time.sleep(0.6)  # three of its looks; there is nothing to wait for when nothing may happen
    assert pod.stored(second)["state"] == "QUEUED"
    go(pod, first)
    pod.wait(second)


def num_wakes(pod: AgentPod, run_id: str) -> int:
    """How often a run's supervisor has gone to sleep so far."""
    status = Path(f"/proc/{pod.process(run_id, 'supervisor')}/status").read_text()
    return int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[0])


def test_a_run_that_waits_does_nothing_but_its_heartbeat(pod: AgentPod) -> None:
    runs = [pod.shell(WAITS) for _ in range(4)]
    pod.wait(runs[0], "RUNNING")
    asleep = runs[2:]
    wait_until(lambda: all(is_asleep(pod, run_id) for run_id in asleep))
    time.sleep(1)  # until the last to come has looked once
    before = [num_wakes(pod, run_id) for run_id in asleep]
    time.sleep(4)  # twenty looks of one that polls
    after = [num_wakes(pod, run_id) for run_id in asleep]
    assert max(b - a for a, b in zip(before, after, strict=True)) < 10
    assert [is_asleep(pod, run_id) for run_id in runs] == [False, False, True, True]
    beats = {run_id: pod.stored(run_id)["heartbeat_at"] for run_id in asleep}
    wait_until(lambda: all(pod.stored(one)["heartbeat_at"] > beats[one] for one in asleep))


def is_asleep(pod: AgentPod, run_id: str) -> bool:
    """Whether a run's supervisor is the small program that waits."""
    words = Path(f"/proc/{pod.process(run_id, 'supervisor')}/cmdline").read_bytes().split(b"\0")
    return b"-c" in words


def is_running(pod: AgentPod, run_id: str) -> bool:
    return bool(pod.stored(run_id)["state"] == "RUNNING")


def test_who_sleeps_wakes_with_the_agent_s_file_gone(pod: AgentPod) -> None:
    """Another version's is there then, and a `clean` may have taken ours."""
    agent = pod.agent
    pod.agent = Path(shutil.copy(agent, pod.root.with_name("of-this-version.pyz")))
    runs = [pod.shell(WAITS) for _ in range(4)]
    asleep = runs[2:]
    wait_until(lambda: all(is_asleep(pod, run_id) for run_id in asleep))
    pids = [pod.process(run_id, "supervisor") for run_id in asleep]
    pod.agent.unlink()
    pod.agent = agent
    pod.kill(runs[1], "supervisor")  # nobody asks for it: the next in line takes its place
    for run_id in (runs[0], *asleep):
        wait_until(partial(is_running, pod, run_id))
        go(pod, run_id)
    wait_until(lambda: all(pod.stored(one)["state"] == "SUCCEEDED" for one in asleep))
    assert [pod.process(run_id, "supervisor") for run_id in asleep] == pids


def test_who_waits_behind_a_supervisor_that_is_killed_takes_its_place(pod: AgentPod) -> None:
    first, second, third = (pod.shell(WAITS) for _ in range(3))
    pod.wait(first, "RUNNING")
    pod.kill(second, "supervisor")
    began = time.monotonic()
    go(pod, first)
    pod.wait(third, "RUNNING")
    took_s = time.monotonic() - began
    assert took_s < 4 * slowdown()  # the kernel reports it: no heartbeat is waited for
    assert pod.stored(second)["state"] == "QUEUED"


def test_without_inotify_the_queue_is_looked_at(pod: AgentPod) -> None:
    """A limit of the kernel's leaves no instance: each run polls."""
    pod.agent = without_inotify(pod)
    first, second = pod.shell(WAITS), pod.shell("true")
    pod.wait(first, "RUNNING")
    go(pod, first)
    assert pod.wait(second)["state"] == "SUCCEEDED"


def without_inotify(pod: AgentPod) -> Path:
    """A copy of the agent whose C library has no inotify."""
    changed = pod.root.with_name("without-inotify.pyz")
    with zipfile.ZipFile(pod.agent) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"inotify_init1", b"inotify_init9"))
    return changed


def test_ended_runs_are_not_read_again(pod: AgentPod) -> None:
    ended = [pod.shell("true") for _ in range(3)]
    for run_id in ended:
        pod.wait(run_id)
    pod.wait(pod.shell("true"))
    pod.wait(pod.shell("true"))
    listed = [line.split()[0] for line in (pod.root / "runs" / ".ended").read_text().splitlines()]
    assert set(ended) <= set(listed)
    # A name that is free again is a new run's.
    pod.ask("clean", stdin={"runs": ended})
    assert not set(ended) & set((pod.root / "runs" / ".ended").read_text().split())
    again = pod.shell(WAITS, run_id=ended[0])
    pod.wait(again, "RUNNING")
    behind = pod.shell("true")
    assert pod.state(behind)["queue_position"] == 1
    go(pod, again)
    pod.wait(behind)


def test_an_index_that_is_damaged_hides_no_run(pod: AgentPod) -> None:
    first = pod.shell(WAITS)
    pod.wait(first, "RUNNING")
    (pod.root / "runs" / ".ended").write_bytes(f"{first} 1\n\xff\n{first}".encode("latin-1"))
    second = pod.shell("true")
    time.sleep(0.5)
    assert pod.stored(second)["state"] == "QUEUED"
    go(pod, first)
    assert pod.wait(second)["state"] == "SUCCEEDED"


def test_a_run_that_needs_no_gpu_waits_for_nobody(pod: AgentPod) -> None:
    pod.wait(pod.shell("sleep 600"), "RUNNING")
    assert pod.wait(pod.shell("true", gpu=-1))["state"] == "SUCCEEDED"


def test_two_gpus_run_two_jobs_each_with_its_own(pod: AgentPod, tmp_path: Path) -> None:
    give_gpus(pod, tmp_path / "bin", 2)
    runs = [pod.shell(f"echo gpu $CUDA_VISIBLE_DEVICES; {WAITS}") for _ in range(3)]
    pod.wait(runs[0], "RUNNING")
    pod.wait(runs[1], "RUNNING")
    assert pod.state(runs[2])["queue_position"] == 1
    assert sorted(pod.stored(run_id)["gpu"] for run_id in runs[:2]) == [0, 1]
    assert {(pod.folder(run_id) / "log").read_text()[:5] for run_id in runs[:2]} == {
        "gpu 0",
        "gpu 1",
    }
    # Who asks for the other GPU is not held up by who waits in front for this one.
    held = pod.stored(runs[0])["gpu"]
    fourth = pod.shell("true", gpu=held)
    go(pod, runs[1])
    pod.wait(runs[2], "RUNNING")
    assert pod.stored(fourth)["state"] == "QUEUED"
    go(pod, runs[0])
    assert pod.wait(fourth)["gpu"] == held


def test_a_gpu_that_the_pod_has_not_is_refused(pod: AgentPod) -> None:
    state = pod.wait(pod.shell("true", gpu=3))
    assert state["state"] == "FAILED"
    assert state["reason"].endswith("GPU 3 was asked for, the pod has no GPU")


def test_several_gpus_are_taken_all_or_none_and_in_order(pod: AgentPod, tmp_path: Path) -> None:
    give_gpus(pod, tmp_path / "bin", 3)
    shows = f"echo gpus $CUDA_VISIBLE_DEVICES number ${{MOOLA_GPUS-none}}; {WAITS}"
    one = pod.shell(shows)
    pod.wait_for_log(one, "gpus 0 number none")
    two = pod.shell(shows, gpus=2)
    pod.wait_for_log(two, "gpus 1,2 number 2")
    assert pod.stored(two)["gpus"] == [1, 2]
    three = pod.shell(shows, gpus=3)
    last = pod.shell(shows, gpus=1)
    go(pod, one)
    pod.wait(one)
    time.sleep(0.6)  # one GPU is free: too few for the first that waits, and it is not overtaken
    assert [pod.stored(run_id)["state"] for run_id in (three, last)] == ["QUEUED", "QUEUED"]
    pod.kill(two, "supervisor")
    time.sleep(0.3)
    assert pod.stored(three)["state"] == "QUEUED"
    go(pod, two)
    pod.wait_for_log(three, "gpus 0,1,2")
    go(pod, three)
    pod.wait_for_log(last, "gpus 0")
    go(pod, last)
    assert pod.wait(last)["gpus"] == [0]


def test_more_gpus_than_the_pod_has_are_refused(pod: AgentPod, tmp_path: Path) -> None:
    none = pod.wait(pod.shell("true", gpus=1))
    assert none["reason"].endswith("1 GPU was asked for, the pod has no GPU")
    give_gpus(pod, tmp_path / "bin", 2)
    state = pod.wait(pod.shell("true", gpus=3))
    assert (state["state"], state["gpu"]) == ("FAILED", None)
    assert state["reason"].endswith("3 GPUs were asked for, the pod has 2 GPUs")


@pytest.mark.parametrize("asked", [{"gpus": 0}, {"gpus": "2"}, {"gpus": 2, "gpu": 1}])
def test_a_number_of_gpus_that_makes_no_sense_is_refused(
    pod: AgentPod, asked: dict[str, object]
) -> None:
    answer = pod.ask("start", stdin={"run_id": "x", "argv": ["true"], **asked})
    assert answer["error"] == "bad_request"
