"""A rented pod until it is ready: waiting, another machine behind its port, interrupts."""

from __future__ import annotations

import io
import itertools
import sys
from dataclasses import replace

import click
import pytest
from msgspec import structs

from moola_remote.errors import UnreachableError
from moola_remote.providers.runpod.provider import RunpodProvider
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ui import prompts
from tests.remote.providers.runpod.conftest import make_another
from tests.support.lanes import HANGS_S
from tests.support.runpod_double import (
    Double,
    Times,
)
from tests.support.servers import SSHD

pytestmark = [
    pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here"),
    pytest.mark.process,
]


def test_running_is_not_ready(provider: RunpodProvider, double: Double) -> None:
    never = HANGS_S
    double.times = Times(running=0.1, address=never, sshd=never, runtime=never)
    said: list[str] = []

    def say(line: str) -> None:
        """The next thing is there once this one was seen, however slow we are."""
        said.append(line)
        if line == "RUNNING, container started, no SSH address yet":
            double.times = replace(double.times, address=0)
        if "connection refused" in line:
            double.times = replace(double.times, sshd=0)

    provider.up(say=say)
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


def test_a_pod_that_is_never_ready_is_removed(provider: RunpodProvider, double: Double) -> None:
    double.times = Times(address=99)
    provider.wanted = structs.replace(provider.wanted, start_limit_min=0.01)
    with pytest.raises(UnreachableError, match=r"not ready within 0.01 min.*; pod pod000001 remov"):
        provider.up()
    assert double.pods == {}


def test_a_pod_of_an_earlier_up_that_is_never_ready_stays_and_its_price_is_reported(
    provider: RunpodProvider, double: Double
) -> None:
    make_another(provider)
    double.times = Times(address=99)
    provider.wanted = structs.replace(provider.wanted, start_limit_min=0.01)
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
    provider.wanted = structs.replace(provider.wanted, start_limit_min=0.01)
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


def test_a_second_interrupt_at_the_question_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def abort(*_: object, **__: object) -> None:
        raise click.Abort

    monkeypatch.setattr("sys.stdin", io.StringIO())
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", abort)
    assert prompts.confirm("Keep pod x?") is False
