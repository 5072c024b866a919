"""The whole life of a rented pod: the double over TCP, and a real SSH server behind its port."""

from __future__ import annotations

import io
import itertools
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from moola_remote.config.paths import LaptopPaths
from moola_remote.config.settings import PodConfig, RunpodConfig
from moola_remote.errors import ConfigError, HostKeyError, NoCapacityError, UnreachableError
from moola_remote.providers.runpod.account import overdue
from moola_remote.providers.runpod.client import RunpodClient
from moola_remote.providers.runpod.pod_name import PodName
from moola_remote.providers.runpod.provider import RunpodProvider
from moola_remote.providers.runpod.startup import probe_pod
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.hostkeys import KnownHosts
from moola_remote.ui import prompts
from tests.support.runpod_double import (
    GPU,
    IMAGE,
    KEY,
    NO_CAPACITY,
    NO_GPU_ON_HOST,
    Double,
    Machine,
    Times,
    serving,
)
from tests.support.servers import SSHD, SshMachine

pytestmark = [
    pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here"),
    pytest.mark.process,
]


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    """RunPod, whose pods are OpenSSH servers here."""
    numbers = itertools.count()

    def make_machine() -> Machine:
        folder = tmp_path / f"machine-{next(numbers)}"
        folder.mkdir()
        return SshMachine(folder)

    with serving(Double()) as double:
        double.make_machine = make_machine
        yield double
        assert double.wrong == []


@pytest.fixture
def provider(double: Double, tmp_path: Path) -> Iterator[RunpodProvider]:
    """The provider of ``configs/pods/x.yaml``."""
    section = RunpodConfig(
        gpus=[GPU], max_price=0.9, image=IMAGE, cuda="12.8", start_limit_min=0.2, owner="anna"
    )
    pod = PodConfig(name="x", provider="runpod", runpod=section)
    laptop = LaptopPaths(tmp_path / "state")
    with RunpodClient(KEY, double.url, sleep=lambda _: None, silence_s=0.1) as client:
        yield RunpodProvider(
            pod,
            section,
            laptop,
            double.url,
            lambda: client,
            lambda endpoint, ask: probe_pod(endpoint, ask, laptop),
            poll_s=0.05,
            sleep=lambda _: None,
        )


def pinned(provider: RunpodProvider) -> bytes | None:
    return KnownHosts(provider.laptop.known_hosts).get("x")


def test_a_pod_is_rented_pinned_stopped_started_anew_and_removed(
    provider: RunpodProvider, double: Double
) -> None:
    said: list[str] = []
    first = provider.up(say=said.append)
    (pod,) = double.pods.values()
    assert first.host_key == pod.fingerprint
    assert first.price_per_hour == 0.75
    assert first.guard is not None
    assert first.guard["idle_stop_s"] == 15 * 60
    assert first.guard["stop_at"] == pytest.approx(time.time() + 24 * 3600, abs=60)
    assert pod.body["name"].startswith("moola-anna-x-")
    assert "0.75/h from now on" in "\n".join(said)
    assert provider.status().state == "up"
    old_pin = pinned(provider)

    assert provider.up().port == first.port  # there already
    assert len(double.pods) == 1
    assert provider.endpoint() == first

    provider.stop()
    assert pod.status == "EXITED"
    assert "its volume costs $0.39 a day" in provider.status().detail
    with pytest.raises(UnreachableError, match=r"stopped \(EXITED\); moola-remote --pod x up"):
        provider.endpoint()

    again = provider.up(say=said.append)
    assert again.host_key != first.host_key
    assert pinned(provider) not in (None, old_pin)

    provider.down(remove_data=True)
    assert double.pods == {}
    assert provider.status().state == "absent"
    assert pinned(provider) is None


def test_running_is_not_ready(provider: RunpodProvider, double: Double) -> None:
    double.times = Times(running=0.1, address=0.3, sshd=0.8, runtime=5.0)
    said: list[str] = []
    provider.up(say=said.append)
    assert "RUNNING, container started, no SSH address yet" in said
    assert said[-1].startswith("waiting for SSH: x (127.0.0.1:1): connection refused")


def test_the_port_of_the_start_before_is_passed_over(
    provider: RunpodProvider, double: Double
) -> None:
    first = provider.up()
    provider.stop()
    double.times = Times(fresh_port=0.6)
    again = provider.up()
    assert again.port == next(iter(double.pods.values())).port
    assert again.host_key != first.host_key


def test_another_machine_behind_the_old_port_is_not_taken_for_ours(
    provider: RunpodProvider, double: Double, openssh_server: Endpoint
) -> None:
    provider.up()
    provider.stop()
    double.times = Times(fresh_port=0.6)
    next(iter(double.pods.values())).port = openssh_server.port  # given away meanwhile
    again = provider.up()
    assert again.port != openssh_server.port


def test_a_silent_api_does_not_cost_a_pod_its_start(
    provider: RunpodProvider, double: Double
) -> None:
    double.times = Times(address=0.5)
    calls = itertools.count()
    double.fault = lambda call: "html" if call.startswith("GET") and next(calls) % 9 > 1 else None
    assert provider.up().host_key is not None
    assert len(double.pods) == 1


def test_a_pod_that_is_not_seen_at_once_is_waited_for(
    provider: RunpodProvider, double: Double
) -> None:
    double.unread_for = 3
    assert provider.up().host_key is not None
    assert len(double.pods) == 1


def test_what_can_not_be_undone_is_reported_with_its_cost(
    provider: RunpodProvider, double: Double
) -> None:
    double.times = Times(address=99)
    double.fault = lambda call: "500" if call.startswith("DELETE") else None
    provider.wanted = provider.wanted.model_copy(update={"start_limit_min": 0.001})
    with pytest.raises(UnreachableError, match=r"pod000001 may still cost money: .*down --force"):
        provider.up()
    double.fault = lambda _: None
    provider.down(remove_data=True)
    assert double.pods == {}


def test_without_a_key_in_the_log_somebody_has_to_vouch_and_is_asked_once(
    provider: RunpodProvider, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moola_remote.providers.runpod.readiness.HOST_KEY_LIMIT_S", 0.1)
    double.prints_host_keys = False
    with pytest.raises(
        HostKeyError, match=r"its container log has no host key, and the one that it shows was not"
    ):
        provider.up()
    assert double.pods == {}
    questions: list[str] = []

    def yes(question: str) -> bool:
        questions.append(question)
        return True

    assert provider.up(confirm=yes).host_key is None
    assert len(questions) == 1
    provider.probe(provider.endpoint(), lambda _: False)  # the pin is kept


def test_a_pod_that_is_never_ready_is_removed(provider: RunpodProvider, double: Double) -> None:
    double.times = Times(address=99)
    provider.wanted = provider.wanted.model_copy(update={"start_limit_min": 0.01})
    with pytest.raises(UnreachableError, match=r"not ready within 0.01 min.*; pod pod000001 remov"):
        provider.up()
    assert double.pods == {}


def make_another(provider: RunpodProvider) -> None:
    """A pod of the same file, as another `up` makes it."""
    name = PodName.new("anna", "x", provider.client.now())
    body = {"name": str(name), "image": IMAGE, "gpu": {"id": GPU}, "ports": ["22/tcp"]}
    provider.client.create({**body, "env": {"PUBLIC_KEY": provider.public_key()}})


def test_a_pod_of_an_earlier_up_that_is_never_ready_stays_and_its_price_is_reported(
    provider: RunpodProvider, double: Double
) -> None:
    make_another(provider)
    double.times = Times(address=99)
    provider.wanted = provider.wanted.model_copy(update={"start_limit_min": 0.01})
    said = r"not ready within .*; pod pod000001 stays, for \$0.75/h; end it with: .* --pod x stop"
    with pytest.raises(UnreachableError, match=said):
        provider.up()
    make_another(provider)
    provider.stop()
    assert [pod.status for pod in double.pods.values()] == ["EXITED", "EXITED"]


def test_a_start_that_can_not_succeed_is_ended_at_once(
    provider: RunpodProvider, double: Double
) -> None:
    double.times = Times(address=99)
    double.more_system_log = [
        "error starting container: requirement error: unsatisfied condition: cuda>=12.8, please"
    ]
    with pytest.raises(UnreachableError, match="its host's driver is older than the image's CUDA"):
        provider.up()
    assert double.pods == {}


def test_a_started_pod_that_is_never_ready_is_stopped_and_keeps_its_volume(
    provider: RunpodProvider, double: Double
) -> None:
    provider.up()
    provider.stop()
    double.times = Times(address=99)
    provider.wanted = provider.wanted.model_copy(update={"start_limit_min": 0.01})
    with pytest.raises(UnreachableError, match="stopped again"):
        provider.up()
    assert [pod.status for pod in double.pods.values()] == ["EXITED"]


@pytest.mark.parametrize("is_kept", [True, False])
def test_an_interrupt_asks_whether_to_keep_the_pod(
    provider: RunpodProvider, double: Double, *, is_kept: bool
) -> None:
    double.times = Times(address=99)
    questions: list[str] = []

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    def answer(question: str) -> bool:
        questions.append(question)
        provider.sleep = lambda _: None
        return is_kept

    provider.sleep = interrupt
    with pytest.raises(KeyboardInterrupt):
        provider.up(confirm=answer)
    assert questions == ["Keep pod pod000001? It costs $0.75/h"]
    assert len(double.pods) == is_kept


def test_a_host_without_a_free_gpu_offers_another_pod(
    provider: RunpodProvider, double: Double
) -> None:
    provider.up()
    provider.stop()
    double.refuse = lambda body: (400, NO_GPU_ON_HOST) if "action" in body else None
    with pytest.raises(NoCapacityError, match="not enough free GPUs"):
        provider.up()
    assert len(double.pods) == 1
    provider.up(confirm=lambda _: True)
    assert [pod.status for pod in double.pods.values()] == ["EXITED", "RUNNING"]
    assert provider.find_all()[0].status == "RUNNING"


def test_two_laptops_that_rent_at_once_end_with_one_pod(
    provider: RunpodProvider, double: Double
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("asking for") and not double.pods:
            make_another(provider)

    endpoint = provider.up(say=say)
    (first,) = double.pods.values()
    assert (first.id, endpoint.port) == ("pod000001", first.port)
    assert "another `up` rented pod000001 at the same time: that one stays, ours is remov" in str(
        said
    )


@pytest.mark.parametrize("days", [-3, 3])
def test_a_wrong_clock_here_changes_no_deadline_and_no_cost(
    provider: RunpodProvider, double: Double, days: int
) -> None:
    double.ahead_s = 86400.0 * days
    endpoint = provider.up()
    assert endpoint.guard is not None
    there = time.time() + double.ahead_s
    assert endpoint.guard["stop_at"] == pytest.approx(there + 24 * 3600, abs=60)
    detail = provider.status().detail
    assert re.search(r"up \ds, \$0.00 since its start", detail), detail
    assert overdue(provider.find_all(), provider.client.now()) == []


def test_without_capacity_nothing_is_made(provider: RunpodProvider, double: Double) -> None:
    double.refuse = lambda _: (400, NO_CAPACITY)
    with pytest.raises(NoCapacityError, match="no longer any instances"):
        provider.up()
    assert double.pods == {}


def test_another_file_and_another_owner_have_their_own_pods(
    provider: RunpodProvider, double: Double
) -> None:
    provider.up()
    (pod,) = double.pods.values()
    for name in (pod.body["name"].replace("-x-", "-y-"), "moola-x", "somebody's"):
        pod.body["name"] = name
        assert provider.find() is None


def test_our_key_pair_is_made_once_and_is_ours_alone(provider: RunpodProvider) -> None:
    made = provider.public_key()
    assert made.startswith("ssh-ed25519 ")
    assert provider.public_key() == made
    assert stat.S_IMODE(provider.identity_file.stat().st_mode) == 0o600


def test_a_key_of_the_users_needs_its_public_half(provider: RunpodProvider, tmp_path: Path) -> None:
    provider.pod = provider.pod.model_copy(update={"identity_file": tmp_path / "own"})
    with pytest.raises(ConfigError, match=r"own\.pub: can't be read, No such file"):
        provider.public_key()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"runpod": None}, "runpod: missing, expected a section"),
        ({"host": "1.2.3.4"}, "host: comes from RunPod, expected no such key"),
        ({"root": "/root/moola"}, "root: /root/moola is not on the volume /workspace"),
    ],
)
def test_a_wrong_file_is_one_line(
    provider: RunpodProvider, change: dict[str, object], said: str
) -> None:
    table = {**provider.pod.model_dump(exclude_unset=True), **change}
    with pytest.raises(ConfigError, match=said):
        RunpodProvider.of(PodConfig.model_validate(table))


def test_the_shipped_file_is_right(tmp_path: Path) -> None:
    from moola_remote.config.settings import find_project, load_pod

    project = find_project(Path(__file__).parent)
    pod = load_pod(project, "runpod-4090")
    assert RunpodProvider.of(pod).wanted.gpus == [GPU]
    shutil.rmtree(tmp_path)


def test_a_second_interrupt_at_the_question_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def abort(*_: object, **__: object) -> None:
        raise click.Abort

    monkeypatch.setattr("sys.stdin", io.StringIO())
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", abort)
    assert prompts.confirm("Keep pod x?") is False
