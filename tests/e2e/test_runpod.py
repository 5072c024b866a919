"""Renting by the user's own commands: the double of RunPod over TCP, and OpenSSH behind it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from moola_remote.providers.local.pty import make_controlling
from moola_remote.ssh.keeping import keeping
from tests.support.lanes import HANGS_S
from tests.support.masters import masters
from tests.support.pods import AgentPod, wait_until
from tests.support.prepared import prepare
from tests.support.projects import PROGRAM, Project, make_project
from tests.support.runpod_double import (
    GPU,
    IMAGE,
    KEY,
    Double,
    Times,
)
from tests.support.runpod_over_ssh import double_over_ssh
from tests.support.servers import SSHD

pytestmark = [
    pytest.mark.process,
    pytest.mark.e2e,
    pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here"),
]
POD = """\
provider: runpod
root: {volume}/moola
python: {python}
runpod:
  gpus: [{gpu}]
  max_price: 0.9
  image: {image}
  cuda: "12.8"
  volume_path: {volume}
"""


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    """RunPod, whose pods are OpenSSH servers here."""
    with double_over_ssh(tmp_path) as double:
        yield double


@pytest.fixture
def rented(
    double: Double, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A project whose default pod is a rented one, not rented yet."""
    project = make_project(tmp_path / "project", tmp_path / "state", pod="rented")
    prepare(tmp_path / "volume" / "moola", tmp_path_factory)
    text = POD.format(volume=tmp_path / "volume", python=sys.executable, gpu=GPU, image=IMAGE)
    project.write("configs/pods/rented.yaml", text)
    project.env.update(RUNPOD_API_KEY=KEY, MOOLA_RUNPOD_API=double.url)
    yield project
    AgentPod(tmp_path / "volume" / "moola").clear()


def test_one_command_from_nothing_to_results_and_nothing_billed(
    rented: Project, double: Double
) -> None:
    words = ("train", "--epochs", "2", "--max-cost", "1", "--then", "stop")
    done = rented.run(*words)
    assert done.returncode == 0, done.stderr
    assert "before --max" not in done.stderr
    assert done.stdout.splitlines()[:3] == ["recipe calm, data 1", "epoch 1/2", "epoch 2/2"]
    for said in (
        f"asking for {GPU}, SECURE, US-IL-1",
        "$0.75/h from now on",
        "pod rented: stopped",
    ):
        assert said in done.stderr
    (pod,) = double.pods.values()
    assert pod.status == "EXITED"
    (folder,) = rented.folder.glob("results/*-calm-*")
    assert (folder / "artifacts" / "model.safetensors").is_file()
    limits = json.loads((folder / "spec.json").read_text())["limits"]
    assert limits["max_cost_usd"] == 1.0

    again = rented.run(*words, "--max-time", "25h", "--max-cost", "99")
    assert again.returncode == 0, again.stderr
    assert "starting moola-" in again.stderr
    for option in ("--max-time", "--max-cost"):
        assert f"note: the pod stops itself in 23h 59m, before {option} is reached" in again.stderr
    assert len(double.pods) == 1
    assert len(list(rented.folder.glob("results/*-calm-*"))) == 2
    leaks = [path for path in rented.state.rglob("*") if path.is_file()]
    assert not [path for path in leaks if KEY in path.read_text(errors="replace")]


def test_commands_for_a_rented_pod_share_a_connection_that_ends_with_it(
    rented: Project, tmp_path: Path
) -> None:
    def logins() -> int:
        return (tmp_path / "machine-0/start-1/sshd.log").read_text().count("Accepted publickey")

    keep = keeping(rented.state, 300)
    assert keep
    rented.run("up")
    rented.ok("runs")
    before = logins()
    for _ in range(2):
        rented.ok("runs")
    assert logins() == before
    assert len(masters(keep.folder)) == 1
    assert "rented: stopped" in rented.ok("stop")
    wait_until(lambda: not masters(keep.folder))


def test_a_failed_run_is_fetched_and_its_pod_stopped(rented: Project, double: Double) -> None:
    line = rented.refused(20, "train", "--set", "end=fail", "--then", "down")
    assert "no such luck" in line
    assert double.pods == {}
    assert list(rented.folder.glob("results/*-calm-*/log"))


def test_what_is_not_rented_is_not_rented_by_looking(rented: Project, double: Double) -> None:
    line = rented.refused(11, "deploy")
    assert line == "error: pod rented: does not exist at RunPod; moola-remote --pod rented up"
    assert "absent" in rented.ok("pods")
    assert double.pods == {}
    assert "POST /v2/pods" not in double.calls


def test_each_command_of_a_rented_pod(rented: Project, double: Double) -> None:
    up = rented.run("up", "--idle-stop", "2h")
    assert "rented: up at " in up.stdout
    assert "stops itself after 2h 00m without a run" in up.stderr
    doctor = {row["name"]: row for row in rented.json("doctor")}
    assert all(row["ok"] for row in doctor.values())
    assert "may make and end pods; of $RUNPOD_API_KEY; 1 pods" in doctor["API key"]["details"]
    (shown,) = [row for row in rented.json("pods") if row["pod"] == "rented"]
    assert shown["state"] == "up"
    for word in ("RTX 4090", "SECURE US-IL-1", "$0.75/h", "since its start", "GPU 0%"):
        assert word in shown["detail"]
    assert re.search(r"GPU 0%, (at work|idle \ds), stops itself in \d+h \d\dm$", shown["detail"])
    assert rented.ok("ssh", "--", "echo $RUNPOD_POD_ID").strip() in double.pods
    rented.ok("run", "--", "echo", "hello")
    costs = {row["run_id"]: row for row in rented.json("cost") if "run_id" in row}
    (known,) = costs.values()  # not fetched
    assert known["is_over"]
    assert known["usd"] == pytest.approx(known["seconds"] * 0.75 / 3600)
    assert "without a verified copy here" in rented.refused(14, "down", "--yes")
    rented.ok("fetch", "all")
    assert "rented: stopped" in rented.ok("stop")
    assert "its volume costs $0.39 a day" in rented.ok("pods")
    assert "stopped, so what is on it can't be checked" in rented.refused(14, "down")
    assert "rented: removed" in rented.ok("down", "--yes", "--force")
    assert double.pods == {}


def kill_when(rented: Project, is_there: Callable[[], object], *words: str) -> None:
    """``kill -9`` of a command as soon as something is to be seen."""
    with rented.running(PROGRAM, *words) as client:
        deadline = time.monotonic() + HANGS_S
        while not is_there():
            assert client.poll() is None, client.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        client.kill()
        assert client.wait() == -signal.SIGKILL


def test_killed_in_every_step_it_goes_on_from_there(
    rented: Project, double: Double, tmp_path: Path
) -> None:
    root, results = tmp_path / "volume" / "moola", rented.folder / "results"
    (rented.folder / "data" / "numbers" / "more").write_bytes(os.urandom(8_000_000))
    train = ("train", "--epochs", "1", "--set", "end=late", "--then", "stop")
    double.times = Times(address=HANGS_S)
    kill_when(rented, lambda: double.pods, *train)  # up
    double.times = Times()
    kill_when(rented, lambda: list(root.glob("data/.incoming-*/*/*")), *train)  # deploy
    assert list(root.glob("runs/*-calm-*")) == []
    kill_when(rented, lambda: list(root.glob("runs/*-calm-*/checkpoints/*")), *train)  # train
    (run,) = root.glob("runs/*-calm-*")
    refused = rented.run("stop")
    assert (refused.returncode, "is RUNNING" in refused.stderr) == (14, True)
    (run / "large").write_bytes(os.urandom(48_000_000))
    (run / "enough").touch()
    again = ("attach", run.name, "--then", "stop")
    kill_when(rented, lambda: list(results.glob(".*/*")), *again)  # fetch
    assert not (results / run.name).exists()
    double.fault = lambda call: "500" if call.endswith("/action") else None
    (pod,) = double.pods.values()
    kill_when(rented, lambda: f"POST /v2/pods/{pod.id}/action" in double.calls, *again)  # stop
    double.fault = lambda _: None
    double.is_read_only = True
    refused = rented.run(*again)
    assert refused.returncode == 10, refused.stderr
    assert (
        f"pod rented is still running and still billed; again: moola-remote {' '.join(again)}"
        in (refused.stderr)
    )
    double.is_read_only = False
    assert pod.status == "RUNNING"
    done = rented.run(*again)
    assert done.returncode == 0, done.stderr
    assert "verified: nothing new" in done.stderr
    assert pod.status == "EXITED"
    assert list(root.glob("runs/*-calm-*")) == [run]
    assert (results / run.name / "large").read_bytes() == (run / "large").read_bytes()
    assert "rented: stopped" in rented.ok("stop")  # as after a kill just after the stop


@pytest.mark.parametrize(
    ("action", "code", "said"),
    [
        (
            "terminate",
            22,
            r"lost, pod rented: does not exist at RunPod any more; start it again with",
        ),
        ("stop", 11, r"how it ended is on the volume, pod rented: stopped \(EXITED\); .* up; then"),
    ],
)
def test_a_pod_that_goes_while_it_trains_is_reported_as_what_it_is(
    rented: Project, double: Double, action: str, code: int, said: str
) -> None:
    words = ("train", "--epochs", "1", "--set", "end=hang", "--then", "stop")
    with rented.running(PROGRAM, *words) as following:
        assert following.stdout
        while "epoch 1/1" not in following.stdout.readline():
            pass
        with httpx.Client(base_url=double.url, headers={"User-Agent": "somebody"}) as client:
            client.headers["Authorization"] = f"Bearer {KEY}"
            client.post(f"/v2/pods/{next(iter(double.pods))}/action", json={"action": action})
        _, talk = following.communicate(timeout=HANGS_S)
    assert following.returncode == code, talk
    assert re.search(f"error: run 2.*-calm-.*: {said}", talk.splitlines()[-1])


def test_an_interrupt_without_a_terminal_removes_what_was_not_ready(
    rented: Project, double: Double
) -> None:
    double.times = Times(address=99)
    with rented.running(PROGRAM, "up") as process:
        assert process.stderr
        while "from now on" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(HANGS_S) == 130
    assert double.pods == {}


def test_a_terminal_that_is_closed_while_a_pod_starts_leaves_no_pod(
    rented: Project, double: Double
) -> None:
    double.times = Times(address=99)
    master, slave = os.openpty()
    streams = {"stdin": slave, "stdout": slave, "stderr": slave}
    shell = {"start_new_session": True, "preexec_fn": make_controlling}
    with rented.running(PROGRAM, "up", **streams, **shell) as process:
        os.close(slave)
        said = b""
        while b"from now on" not in said:
            said += os.read(master, 4096)
        os.close(master)  # the kernel then sends SIGHUP
        process.wait(HANGS_S)  # nobody is there to learn how it ended
    assert double.pods == {}


@pytest.mark.parametrize(
    ("key", "code", "said"),
    [
        ("wrong", 10, "401 missing bearer token; make a key at console.runpod.io"),
        ("", 10, "RunPod: no API key, looked at $RUNPOD_API_KEY, the keyring"),
    ],
)
def test_a_key_that_does_not_open_is_one_line_with_its_cure(
    rented: Project, key: str, code: int, said: str
) -> None:
    rented.env["RUNPOD_API_KEY"] = key
    assert said in rented.refused(code, "up")
    done = rented.run("--json", "doctor")
    doctor = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1
    assert said in doctor["pod"]["details"]


def test_a_pod_whose_guard_can_not_be_set_is_reported_with_what_ends_it(
    rented: Project, double: Double
) -> None:
    path = rented.folder / "configs" / "pods" / "rented.yaml"
    path.write_text(path.read_text().replace(sys.executable, "/no/such/python"))
    done = rented.run("up")
    assert done.returncode == 11
    assert "warning: the pod has no guard; stop the billing with: moola-remote stop" in done.stderr
    assert "rented: stopped" in rented.ok("stop", "--force")
    assert [pod.status for pod in double.pods.values()] == ["EXITED"]


def test_a_key_that_may_only_read_rents_nothing(rented: Project, double: Double) -> None:
    double.is_read_only = True
    assert "has read-only access; give it the permission `All`" in rented.refused(10, "up")
    assert double.pods == {}
