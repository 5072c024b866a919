"""The whole life of a rented pod: the double over TCP, and a real SSH server behind its port."""

from __future__ import annotations

import re
import shutil
import stat
import time
from pathlib import Path

import pytest
from msgspec import structs

from moola_remote.errors import ConfigError, HostKeyError, NoCapacityError, UnreachableError
from moola_remote.providers.runpod.account import overdue
from moola_remote.providers.runpod.provider import RunpodProvider
from moola_remote.ssh.hostkeys import KnownHosts
from tests.remote.providers.runpod.conftest import make_another
from tests.support.runpod_double import (
    GPU,
    NO_CAPACITY,
    NO_GPU_ON_HOST,
    Double,
    Times,
)
from tests.support.servers import SSHD

pytestmark = [
    pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here"),
    pytest.mark.process,
]


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


def test_what_can_not_be_undone_is_reported_with_its_cost(
    provider: RunpodProvider, double: Double
) -> None:
    double.times = Times(address=99)
    double.fault = lambda call: "500" if call.startswith("DELETE") else None
    provider.wanted = structs.replace(provider.wanted, start_limit_min=0.001)
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
    provider.pod = structs.replace(provider.pod, identity_file=tmp_path / "own")
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
    with pytest.raises(ConfigError, match=said):
        RunpodProvider.of(structs.replace(provider.pod, given=frozenset(change), **change))


def test_the_shipped_file_is_right(tmp_path: Path) -> None:
    from moola_remote.config.settings import find_project, load_pod

    project = find_project(Path(__file__).parent)
    pod = load_pod(project, "runpod-4090")
    assert RunpodProvider.of(pod).wanted.gpus == [GPU]
    shutil.rmtree(tmp_path)
