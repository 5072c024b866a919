"""Commands, channels and transfers, on OpenSSH's sshd and on the embedded pod."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from moola_remote.errors import TransferError, UnreachableError
from moola_remote.ssh import channel, liveness, ssh_transport
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.lanes import HANGS_S
from tests.support.lines import Line, connect_over

pytestmark = pytest.mark.process

ODD_WORDS = ["a b", "it's", '"', "$HOME", "`id`", ";", "", "-n", "new\nline", "ä→😀", "*", "\\"]


def test_arguments_arrive_as_they_are(transport: Transport) -> None:
    done = transport.run(["printf", "%s\\0", *ODD_WORDS])
    assert done.stdout.decode().split("\0")[:-1] == ODD_WORDS


def test_stdout_stderr_and_exit_code_are_kept_apart(transport: Transport) -> None:
    done = transport.run(["sh", "-c", "cat; echo warned >&2; exit 7"], stdin=b"given")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"given", b"warned\n")


def test_a_signal_is_minus_one(transport: Transport) -> None:
    assert transport.run(["sh", "-c", "kill -TERM $$"]).returncode == -1


def test_many_bytes_go_both_ways_at_once(transport: Transport) -> None:
    data = os.urandom(1 << 20) * 20
    assert transport.run(["cat"], stdin=data).stdout == data


def test_a_flood_on_stderr_holds_nothing_up(transport: Transport) -> None:
    done = transport.run(["sh", "-c", "head -c 8000000 /dev/zero >&2; echo out"])
    assert done.stdout == b"out\n"
    assert len(done.stderr) == channel.STDERR_KEPT


def test_what_was_said_on_stderr_is_known_though_stdout_is_not_read(transport: Transport) -> None:
    channel = transport.open(["sh", "-c", "echo said >&2; head -c 1000000 /dev/zero"])
    assert channel.returncode(HANGS_S) == 0
    assert channel.stderr() == b"said\n"
    channel.close()


def test_a_command_need_not_read_its_stdin(transport: Transport) -> None:
    assert transport.run(["true"], stdin=bytes(8_000_000)).returncode == 0


def test_a_command_that_does_not_end_is_given_up_at_its_deadline(transport: Transport) -> None:
    started = time.monotonic()
    with pytest.raises(UnreachableError, match=r"sleep did not end within 0 s"):
        transport.run(["sleep", "600"], timeout_s=0.3)
    assert time.monotonic() - started < HANGS_S


def test_a_command_that_prints_without_end_is_given_up_at_the_cap(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_transport, "MAX_OUTPUT", 1_000_000)
    with pytest.raises(TransferError, match="yes printed more than 1000000 bytes"):
        transport.run(["yes"])


def test_a_channel_is_talked_to_while_it_runs(transport: Transport) -> None:
    channel = transport.open(["cat"])
    channel.write(b"one")
    assert channel.read(100, HANGS_S) == b"one"
    channel.write(b"two")
    assert channel.read(2, HANGS_S) == b"tw"
    assert channel.read(2, HANGS_S) == b"o"
    channel.close_stdin()
    assert channel.read(100, HANGS_S) == b""
    assert channel.returncode(HANGS_S) == 0
    channel.close()


def test_silence_on_a_channel_ends_at_the_deadline(transport: Transport) -> None:
    channel = transport.open(["sleep", "600"])
    with pytest.raises(UnreachableError, match="no answer within"):
        channel.read(1, 0.1)
    channel.close()


def test_a_write_to_a_command_that_has_ended_is_an_error(transport: Transport) -> None:
    channel = transport.open(["true"])
    assert channel.read(1, HANGS_S) == b""
    channel.returncode(HANGS_S)
    deadline = time.monotonic() + HANGS_S  # the channel closes a moment after the exit code
    with pytest.raises(UnreachableError, match="has ended"):  # noqa: PT012
        while time.monotonic() < deadline:
            channel.write(b"x")


def test_commands_run_side_by_side(transport: Transport) -> None:
    answers: dict[int, bytes] = {}

    def ask(number: int) -> None:
        answers[number] = transport.run(["sh", "-c", f"sleep 0.1; echo {number}"]).stdout

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: b"%d\n" % number for number in range(8)}


@pytest.fixture
def over_line(openssh_server: Endpoint, line: Line, tmp_path: Path) -> Transport:
    return connect_over(line, openssh_server, tmp_path)


def _errors_of(calls: list[Callable[[], object]]) -> list[str]:
    found = []
    for call in calls:
        with pytest.raises(UnreachableError) as caught:
            call()
        found.append(str(caught.value))
    return found


def test_a_cut_line_is_never_the_end_of_a_command(over_line: Transport, line: Line) -> None:
    channel = over_line.open(["sh", "-c", "echo first; sleep 600"])
    assert channel.read(100, HANGS_S) == b"first\n"
    line.cut()
    calls = [lambda: channel.read(1, HANGS_S), lambda: channel.returncode(HANGS_S)]
    reported = _errors_of([*calls, lambda: channel.write(b"x"), lambda: over_line.run(["true"])])
    assert all("connection lost" in message for message in reported), reported
    over_line.close()


@pytest.fixture
def quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "KEEPALIVE_S", 0.5)


def test_a_pod_that_falls_silent_is_given_up(
    quick_heartbeat: None, over_line: Transport, line: Line
) -> None:
    channel = over_line.open(["sleep", "600"])
    line.fall_silent()
    (reported,) = _errors_of([lambda: channel.read(1, HANGS_S)])
    assert "nothing heard" in reported
    over_line.close()


def test_a_quiet_pod_that_answers_the_heartbeat_is_kept(
    quick_heartbeat: None, over_line: Transport
) -> None:
    assert over_line.run(["sh", "-c", "sleep 3; echo done"]).stdout == b"done\n"
    over_line.close()
