"""The guard of a rented pod: it stops the pod that it is on, through the API, with nobody there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moola_remote.providers.runpod.client import RunpodClient
from tests.support.pods import AGENT, AgentPod, wait_until
from tests.support.runpod_double import GPU, IMAGE, KEY, Double, FakePod, serving

pytestmark = pytest.mark.process

BODY = {"name": "x", "image": IMAGE, "gpu": {"id": GPU}, "ports": ["22/tcp"]}
ORDERLY = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); "
JOB = [sys.executable, "-c", f"{ORDERLY}print('on', flush=True); import time; time.sleep(600)"]


@pytest.fixture
def double() -> Iterator[Double]:
    with serving(Double()) as double:
        yield double
        assert double.wrong == []


@pytest.fixture
def rented(double: Double, pod: AgentPod) -> FakePod:
    """The rented pod that `pod` is the root of."""
    with RunpodClient(KEY, double.url) as client:
        made = double.pods[client.create(BODY).id]
    pod.env = {"RUNPOD_POD_ID": made.id, "RUNPOD_API_KEY": made.key}
    return made


def settings(double: Double, **changes: Any) -> dict[str, Any]:
    return {"api": double.url, "idle_stop_s": None, "stop_at": None, "tick_s": 0.05, **changes}


def records(pod: AgentPod) -> list[dict[str, Any]]:
    try:
        lines = (pod.root / "guard.log").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def stopped(rented: FakePod) -> bool:
    return rented.status == "EXITED"


def has_left(pod: AgentPod) -> bool:
    """Whether no guard is on watch any more."""
    from moola_remote.agent import locks

    return not locks.is_locked(pod.root / "guard.lock")


def submit(pod: AgentPod, **keys: Any) -> str:
    run_id = "20261122-153012-job-3f2a"
    spec = {"run_id": run_id, "argv": JOB, "env": {}, "gpu": -1, "grace_s": 5.0, **keys}
    pod.ask("start", stdin=spec)
    return run_id


def start(pod: AgentPod) -> str:
    run_id = submit(pod)
    pod.wait_for_log(run_id, "on")
    return run_id


def test_an_idle_pod_stops_itself_with_its_own_key(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    answer = pod.ask("guard", stdin=settings(double, idle_stop_s=0.2))
    assert answer["proved"] == ["python", "curl"]
    wait_until(lambda: stopped(rented))
    wait_until(lambda: has_left(pod))
    first, second = records(pod)
    assert first["said"].startswith("idle for ")
    assert (second["means"], second["ok"]) == ("python", True)
    assert rented.key not in (pod.root / "guard.log").read_text()
    assert rented.key not in (pod.root / "guard.json").read_text()


def test_a_pod_with_a_run_is_not_idle_and_is_once_it_has_ended(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    run_id = start(pod)
    pod.ask("guard", stdin=settings(double, idle_stop_s=0.2))
    watched_until = time.monotonic() + 1.0
    wait_until(lambda: time.monotonic() > watched_until)
    assert not stopped(rented)
    pod.ask("cancel", run_id, "--grace", "0")
    wait_until(lambda: stopped(rented))


def test_when_its_time_is_over_the_job_ends_first_with_its_manifest(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    run_id = start(pod)
    pod.ask("guard", stdin=settings(double, stop_at=time.time() + 0.3))
    wait_until(lambda: stopped(rented))
    state = pod.stored(run_id)
    assert (state["state"], state["returncode"]) == ("PREEMPTED", 143)
    assert state["reason"].startswith("the pod's time is over")
    assert state["manifest_sha256"]
    assert (pod.folder(run_id) / "manifest.json").is_file()


def test_a_guard_whose_file_is_removed_still_stops_the_pod(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    pod.agent = pod.root / "agent" / "copy.pyz"
    pod.agent.parent.mkdir(parents=True)
    pod.agent.write_bytes(AGENT.read_bytes())
    run_id = start(pod)
    pod.ask("guard", stdin=settings(double))
    pod.agent.unlink()
    wait_until((pod.root / "guard.seen.json").exists)
    assert not stopped(rented)
    kept = {**settings(double), "stop_at": time.time()}
    (pod.root / "guard.json").write_text(json.dumps(kept), encoding="utf-8")
    wait_until(lambda: stopped(rented))
    wait_until(lambda: has_left(pod))
    assert pod.stored(run_id)["state"] == "PREEMPTED"
    assert (records(pod)[-1]["means"], records(pod)[-1]["ok"]) == ("python", True)
    pod.agent = AGENT


@pytest.mark.parametrize(
    "limits",
    [{"max_time_s": 0.3}, {"max_cost_usd": 0.75 * 0.3 / 3600}],
    ids=["time", "cost"],
)
def test_after_the_limit_of_a_run_the_pod_stops_soon_even_if_it_may_idle(
    pod: AgentPod, rented: FakePod, double: Double, limits: dict[str, float]
) -> None:
    pod.ask("guard", stdin=settings(double, after_limit_s=0.2))
    run_id = submit(pod, limits=limits, price_per_hour=0.75)
    wait_until(lambda: stopped(rented))
    state = pod.stored(run_id)
    assert state["state"] == "PREEMPTED"
    assert state["reason"].startswith("its limit was reached: max_")
    assert state["manifest_sha256"]


def test_a_run_that_reached_its_limit_before_does_not_hurry_a_later_start(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    run_id = submit(pod, limits={"max_time_s": 0.2})
    pod.wait(run_id)
    pod.ask("guard", stdin=settings(double, after_limit_s=0.1))
    watched_until = time.monotonic() + 0.6
    wait_until(lambda: time.monotonic() > watched_until)
    assert not stopped(rented)


def test_the_guard_reports_how_long_the_pod_is_idle_and_asking_is_no_work(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    unknown = {"ok": True, "idle_s": None, "stops_in_s": None}
    assert pod.ask("idle") == unknown
    run_id = start(pod)
    pod.ask("guard", stdin=settings(double, idle_stop_s=60.0, stop_at=time.time() + 600))
    reported = wait_until(lambda: (now := pod.ask("idle"))["idle_s"] is not None and now)
    assert reported["idle_s"] == 0
    # Not by its idle time: it works. The API gives its time to the second.
    assert 500 < reported["stops_in_s"] < 602
    pod.ask("cancel", run_id, "--grace", "0")
    reported = wait_until(lambda: (now := pod.ask("idle"))["idle_s"] > 0.5 and now)
    assert reported["stops_in_s"] == pytest.approx(60 - reported["idle_s"])
    pod.end_guard()
    wait_until(lambda: has_left(pod))
    assert pod.ask("idle") == unknown
    assert not stopped(rented)


def test_a_pod_is_not_idle_before_the_command_after_a_run_has_ended(
    pod: AgentPod, rented: FakePod, double: Double, tmp_path: Path
) -> None:
    waits = f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    pod.wait(pod.start("true", on_finish=waits))
    wait_until((tmp_path / "begun").exists)
    pod.ask("guard", stdin=settings(double, idle_stop_s=0.2))
    watched_until = time.monotonic() + 0.8
    wait_until(lambda: time.monotonic() > watched_until)
    assert not stopped(rented)
    (tmp_path / "go").touch()
    wait_until(lambda: stopped(rented))


def test_a_follower_that_nobody_reads_does_not_keep_the_pod_up(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    run_id = pod.shell("head -c 1000000 /dev/zero")
    pod.wait(run_id)
    program = pod.root / "agent" / "0.py"
    program.parent.mkdir()
    program.write_bytes(AGENT.read_bytes())
    argv = [sys.executable, str(program), "--root", str(pod.root), "follow", run_id]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as follower:
        try:
            pod.ask("guard", stdin=settings(double, idle_stop_s=0.3))
            wait_until(lambda: stopped(rented))
            assert follower.poll() is None
        finally:
            follower.kill()


def test_a_gpu_that_works_is_not_idle(
    pod: AgentPod, rented: FakePod, double: Double, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/use\n")
    program.chmod(0o755)
    (tmp_path / "use").write_text("0\n97\n")
    pod.env["PATH"] = f"{program.parent}:/usr/bin:/bin"
    pod.ask("guard", stdin=settings(double, idle_stop_s=0.3))
    watched_until = time.monotonic() + 1.0
    wait_until(lambda: time.monotonic() > watched_until)
    assert not stopped(rented)
    (tmp_path / "use").write_text("0\n4\n")
    wait_until(lambda: stopped(rented))


def test_what_fails_is_tried_by_other_means_again_and_again_and_recorded(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    left = iter(range(5))
    double.fault = lambda call: (
        "500" if call.endswith("/action") and next(left, None) is not None else None
    )
    pod.ask("guard", stdin=settings(double, idle_stop_s=0.2))
    wait_until(lambda: stopped(rented))
    wait_until(lambda: has_left(pod))
    tried = [(record["means"], record["ok"]) for record in records(pod)]
    assert ("python", False) in tried
    assert ("curl", False) in tried
    assert ("runpodctl", False) in tried
    assert tried[-1] == ("curl", True)
    assert list(double.pods) == [rented.id]  # stopped, never removed


def test_there_is_one_guard_and_it_obeys_the_latest_settings(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    for _ in range(3):
        pod.ask("guard", stdin=settings(double))
    time_of_many = time.monotonic() + 0.3
    wait_until(lambda: time.monotonic() > time_of_many)
    pod.ask("guard", stdin=settings(double, idle_stop_s=0.1))
    wait_until(lambda: has_left(pod))
    assert stopped(rented)
    assert [record["means"] for record in records(pod)] == ["stopping", "python"]


def test_a_key_that_does_not_open_is_reported_before_anything_runs(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    pod.env["RUNPOD_API_KEY"] = "wrong"
    answer = pod.ask("guard", stdin=settings(double))
    assert answer["proved"] == []
    assert "401" in answer["why"]
    double.fault = lambda _: "html-200"  # a proxy's page is no answer of the API's
    answer = pod.ask("guard", stdin=settings(double))
    assert answer["proved"] == []
    assert "200 <html>" in answer["why"]
    double.fault = lambda _: None
    (pod.root / "guard.json").write_text(json.dumps(settings(double, idle_stop_s=0.1)))
    wait_until(lambda: len(records(pod)) > 3)


def test_settings_while_the_api_fails_keep_the_time_that_it_gave_before(
    pod: AgentPod, rented: FakePod, double: Double
) -> None:
    double.ahead_s = -90_000.0  # this pod's clock is a day before the API's
    pod.ask("guard", stdin=settings(double, stop_at=time.time() + double.ahead_s + 600))
    before = json.loads((pod.root / "guard.json").read_text())["clock_offset_s"]
    double.fault = lambda _: "429"
    answer = pod.ask("guard", stdin=settings(double, stop_at=time.time() + double.ahead_s + 500))
    assert answer["proved"] == []
    assert json.loads((pod.root / "guard.json").read_text())["clock_offset_s"] == before
    assert answer["now"] == pytest.approx(time.time() + double.ahead_s, abs=3600)
    pod.end_guard()
    assert pod.ask("list")["ok"]  # brings the guard back, which has no other clock
    watched_until = time.monotonic() + 1.0
    wait_until(lambda: time.monotonic() > watched_until)
    assert not [record for record in records(pod) if record["means"] == "stopping"]
    assert not stopped(rented)
