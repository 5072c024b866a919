"""A disk without any room: the job lives, its end is known, and only what is so is reported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.agent import constants, layout
from moola_remote.agent.state import view
from tests.support.pods import AgentPod, is_alive, wait_until
from tests.support.small_disks import disk_or_skip

pytestmark = pytest.mark.process

FILLS_THE_DISK = 'cat /dev/zero >"$MOOLA_RUN_DIR/big" 2>/dev/null; '


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    with disk_or_skip(tmp_path / "small", megabytes=1) as disk:
        yield disk


def make_read_only(disk: Path) -> None:
    """As a system does after an error of the disk; whatever writes there has ended."""
    mount = ["mount", "-o", "remount,ro", str(disk)]
    wait_until(lambda: subprocess.run(mount, capture_output=True, check=False).returncode == 0)


def read_only_for_a_verb(disk: Path) -> list[str]:
    """Words before a verb; what has files open keeps a disk from becoming read-only for all."""
    script = f'mount -o remount,bind,ro {disk}; exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


@pytest.fixture
def small_pod(small_disk: Path) -> Iterator[AgentPod]:
    """A pod on a file system of one megabyte."""
    pod = AgentPod(small_disk / "root")
    yield pod
    for big in small_disk.rglob("big"):
        big.unlink()
    pod.clear()


def test_a_full_disk_changes_nothing_of_how_the_end_is_reported(small_pod: AgentPod) -> None:
    run_id = small_pod.shell(FILLS_THE_DISK + "exit 7")
    state = small_pod.wait(run_id)
    assert (state["state"], state["returncode"]) == ("FAILED", 7)
    why = "not even 16 MB can be written on the pod, No space left on device"
    assert state["reason"] == f"exit code 7; {why}"


def test_a_run_that_ended_well_or_had_room_is_not_blamed_on_the_disk(
    small_pod: AgentPod, pod: AgentPod
) -> None:
    assert small_pod.wait(small_pod.shell(FILLS_THE_DISK + "exit 0"))["reason"] is None
    assert pod.wait(pod.shell("exit 7"))["reason"] == "exit code 7"


def test_without_even_the_reserve_the_end_is_reported_once_there_is_room(
    small_pod: AgentPod,
) -> None:
    waits = 'while [ ! -e "$MOOLA_RUN_DIR/.go" ]; do sleep 0.02; done; '
    run_id = small_pod.shell(f"{waits}{FILLS_THE_DISK}exit 7")
    small_pod.wait(run_id, "RUNNING")
    job = small_pod.process(run_id, "job")
    (small_pod.folder(run_id) / ".moola" / ".reserve").unlink()
    (small_pod.folder(run_id) / ".go").touch()
    wait_until(lambda: not Path(f"/proc/{job}").exists())
    assert small_pod.stored(run_id)["state"] == "RUNNING"
    wait_until(lambda: small_pod.state(run_id)["reason"])  # whoever follows it is told why
    why = "nothing can be recorded, No space left on device: make room on the pod, then it is"
    assert small_pod.state(run_id)["reason"] == why
    (small_pod.folder(run_id) / "big").unlink()
    state = small_pod.wait(run_id)
    assert (state["state"], state["returncode"]) == ("FAILED", 7)


def test_a_start_on_a_full_disk_is_refused_and_can_be_tried_again(small_pod: AgentPod) -> None:
    (small_pod.root / "runs").mkdir(parents=True)
    filler = small_pod.root / "big"
    subprocess.run(["cp", "/dev/zero", str(filler)], capture_output=True, check=False)
    spec = {"run_id": "test-full", "argv": ["true"]}
    answer = small_pod.ask("start", stdin=spec)
    assert (answer["ok"], answer["error"]) == (False, "disk_full")
    assert not small_pod.folder("test-full").exists()
    filler.unlink()
    assert small_pod.ask("start", stdin=spec)["started"]
    assert small_pod.wait("test-full")["state"] == "SUCCEEDED"


def test_what_can_not_be_written_is_found_by_trying(small_pod: AgentPod) -> None:
    full = "No space left on device"
    assert small_pod.ask("probe")["write_error"] == full
    assert small_pod.ask("room", str(2**21))["write_error"] == full
    assert small_pod.ask("room", str(2**18))["write_error"] is None
    assert list(small_pod.root.glob(".room*")) == []


def test_a_heartbeat_does_not_cost_what_is_reserved_for_the_end(small_pod: AgentPod) -> None:
    run = layout.Run(small_pod.root / "runs" / "test")
    run.own.mkdir(parents=True)
    reserve = run.own / ".reserve"
    reserve.write_bytes(bytes(constants.RESERVE_BYTES))
    subprocess.run(["cp", "/dev/zero", str(run.path / "big")], capture_output=True, check=False)
    with pytest.raises(OSError, match="No space left"):
        run.write("state.json", {"state": "RUNNING"}, sync=False)
    assert reserve.exists()
    run.write("state.json", {"run_id": "test", "state": "FAILED"})
    assert not reserve.exists()
    assert run.state()["state"] == "FAILED"


def test_bytecode_that_a_full_disk_has_cut_ends_no_later_job(pod: AgentPod) -> None:
    job = ["env", "-u", "PYTHONDONTWRITEBYTECODE", sys.executable, "-c", "import argparse"]
    assert pod.wait(pod.start(*job))["state"] == "SUCCEEDED"
    written, *_ = (pod.root / "cache" / "pycache").rglob("argparse.*.pyc")
    whole = written.read_bytes()
    for size in (0, 4096, len(whole) // 4096 * 4096):
        # importlib keeps what it could write of it, under its name.
        cut = written.with_suffix(".cut")
        cut.write_bytes(whole[:size])
        cut.replace(written)
        assert pod.wait(pod.start(*job))["state"] == "SUCCEEDED"
        assert written.stat().st_size == len(whole)


def test_bytecode_of_a_common_size_is_kept(pod: AgentPod) -> None:
    cache = pod.root / "cache" / "pycache"
    cache.mkdir(parents=True)
    for name, size in {"a.pyc": 4095, "b.pyc": 4096, "c.nbi": 4096}.items():
        (cache / name).write_bytes(bytes(size))
    pod.wait(pod.start("true"))
    assert sorted(path.name for path in cache.iterdir()) == [".checked", "a.pyc", "c.nbi"]


def test_a_start_does_not_look_at_the_bytecode_of_every_run(pod: AgentPod) -> None:
    cache = pod.root / "cache" / "pycache"
    of_runs = cache / str(pod.root / "runs").lstrip("/") / "another"
    of_others = of_runs.parents[1] / "env"
    for folder in (of_runs, of_others):
        folder.mkdir(parents=True)
        (folder / "a.pyc").write_bytes(bytes(4096))
    pod.wait(pod.start("true"))
    assert (of_runs / "a.pyc").exists()
    assert not (of_others / "a.pyc").exists()


def test_a_disk_that_became_read_only_is_named_with_the_file(
    small_disk: Path, small_pod: AgentPod
) -> None:
    run_id = small_pod.shell("exit 0")
    small_pod.wait(run_id)
    make_read_only(small_disk)
    spec = {"run_id": "test-later", "argv": ["true"]}
    asked = [("clean", {"force": True}), ("start", spec)]
    for verb, stdin in asked:
        answer = small_pod.ask(verb, stdin=stdin)
        assert (answer["ok"], answer["error"]) == (False, "io")
        where, _, why = answer["message"].removeprefix("pod: ").rpartition(": ")
        assert why == "Read-only file system"
        assert Path(where).is_relative_to(small_pod.root)
    # What is there can be read all the same.
    assert small_pod.state(run_id)["state"] == "SUCCEEDED"
    assert small_pod.ask("manifest", run_id)["ok"]
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


def test_a_run_on_a_read_only_disk_is_ended_all_the_same(
    small_disk: Path, small_pod: AgentPod
) -> None:
    run_id = small_pod.shell("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    small_pod.wait_for_log(run_id, "ready")
    job = small_pod.process(run_id, "job")
    small_pod.enter = read_only_for_a_verb(small_disk)
    answer = small_pod.ask("cancel", run_id, "--grace", "0.2")
    assert (answer["ok"], answer["error"]) == (False, "io")
    assert answer["message"] == (
        f"pod: run {run_id}: its processes were ended, which can't be recorded: "
        "Read-only file system"
    )
    assert not is_alive(job)
    small_pod.enter = []
    assert small_pod.wait(run_id)["reason"] == "killed by SIGKILL"


def test_a_queued_run_on_a_read_only_disk_is_said_to_stay_queued(
    small_disk: Path, small_pod: AgentPod
) -> None:
    small_pod.wait(small_pod.shell("sleep 1000"), "RUNNING")
    run_id = small_pod.shell("true")
    small_pod.enter = read_only_for_a_verb(small_disk)
    answer = small_pod.ask("cancel", run_id)
    assert answer["message"] == (
        f"pod: run {run_id}: stays queued, a cancellation can't be recorded: Read-only file system"
    )
    assert small_pod.state(run_id)["state"] == "QUEUED"
    small_pod.enter = []
    assert small_pod.ask("cancel", run_id)["state"]["state"] == "CANCELLED"


def test_a_run_that_a_read_only_disk_keeps_from_being_recorded_says_so(small_disk: Path) -> None:
    pod = layout.Pod(small_disk)
    (pod.runs / "test-run").mkdir(parents=True)
    make_read_only(small_disk)
    shown = view(pod, {"run_id": "test-run", "state": "RUNNING", "heartbeat_at": 0}, [])
    why = "nothing can be recorded, Read-only file system: make its disk writable, then it is"
    assert shown["reason"] == why
