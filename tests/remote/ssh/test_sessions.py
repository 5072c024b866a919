"""Servers that allow one command at a time, that let us wait, or whose banner is long."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from moola_remote.errors import UnreachableError
from moola_remote.ssh import connect as connecting
from moola_remote.ssh import ssh_transport
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.lanes import HANGS_S
from tests.support.penalties import running_penalised
from tests.support.servers import NEWER_SSHD, SSHD, running_openssh

pytestmark = pytest.mark.process


@pytest.fixture
def single(home: Path, tmp_path: Path) -> Iterator[Transport]:
    """A connection that carries one command at a time."""
    if not SSHD.exists():
        pytest.skip("no OpenSSH server here: apt install openssh-server")
    banner = tmp_path / "banner"
    banner.write_text("W" * 79 + "\n")
    settings = f"MaxSessions 1\nAllowTcpForwarding no\nPermitTTY no\nBanner {banner}"
    with running_openssh(tmp_path / "sshd", settings=settings) as endpoint:
        made = connect(endpoint, known_hosts=tmp_path / "pins")
        yield made
        made.close()


def test_commands_one_after_the_other_need_one_connection(
    single: Transport, tmp_path: Path
) -> None:
    for number in range(10):
        assert single.run(["echo", str(number)]).stdout == b"%d\n" % number
    log = (tmp_path / "sshd" / "sshd.log").read_text()
    assert log.count("Accepted publickey") == 1


def test_commands_side_by_side_get_connections_of_their_own(
    single: Transport, tmp_path: Path
) -> None:
    first = single.open(["cat"])
    first.write(b"one")
    assert first.read(10, HANGS_S) == b"one"
    assert single.run(["echo", "two"]).stdout == b"two\n"
    assert single.run(["echo", "three"]).stdout == b"three\n"
    here = tmp_path / "here"
    here.mkdir()
    (here / "file").write_text("x")
    assert single.push(here, PurePosixPath(tmp_path / "there")) == 1
    first.write(b"still")
    assert first.read(10, HANGS_S) == b"still"
    first.close()
    log = (tmp_path / "sshd" / "sshd.log").read_text()
    assert log.count("Accepted publickey") == 2


def test_beyond_the_spare_connections_it_is_one_line(
    single: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_transport, "MAX_SPARE", 1)
    busy = [single.open(["cat"]) for _ in range(2)]
    with pytest.raises(UnreachableError, match=r"no further command.*raise MaxSessions"):
        single.run(["true"])
    for channel in busy:
        channel.close()


class _Penalising:
    """A port that says what an sshd says to an address that failed too often, then a real sshd."""

    def __init__(self, words: bytes, times: int, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._words, self._times, self._far = words, times, port
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        for number in range(self._times + 1):
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            if number < self._times:
                with conn:
                    conn.sendall(self._words)
            else:
                far = socket.create_connection(("127.0.0.1", self._far))
                for ends in ((conn, far), (far, conn)):
                    threading.Thread(target=_copy, args=ends, daemon=True).start()

    def close(self) -> None:
        self._listener.close()


def _copy(source: socket.socket, dest: socket.socket) -> None:
    with source, dest, contextlib.suppress(OSError):
        while data := source.recv(65536):
            dest.sendall(data)
        dest.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("words", [b"Not allowed at this time\r\n", b"Exceeded MaxStartups\r\n"])
def test_a_penalty_is_waited_for_and_said_once(
    words: bytes,
    openssh_server: Endpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(connecting, "PENALTY_PAUSE_S", 0.05)
    door = _Penalising(words, 3, openssh_server.port)
    endpoint = dataclasses.replace(openssh_server, port=door.port)
    with caplog.at_level(logging.WARNING):
        transport = connect(endpoint, known_hosts=tmp_path / "pins")
    assert transport.run(["echo", "in"]).stdout == b"in\n"
    transport.close()
    door.close()
    (record,) = (record for record in caplog.records if record.name.startswith("moola"))
    assert "sshd refuses this address for a while" in record.getMessage()


def test_a_real_penalty_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if not NEWER_SSHD.exists():
        pytest.skip("no newer OpenSSH server here: sh tests/newer_openssh.sh .venv/openssh")
    with running_penalised(tmp_path / "sshd") as endpoint:
        with caplog.at_level(logging.WARNING):
            transport = connect(endpoint, known_hosts=tmp_path / "pins")
        assert transport.run(["echo", "in"]).stdout == b"in\n"
        transport.close()
        (record,) = (record for record in caplog.records if record.name.startswith("moola"))
        assert "refuses this address for a while, after failed logins" in record.getMessage()


def test_a_penalty_that_does_not_end_is_one_line(
    openssh_server: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "PENALTY_PAUSE_S", 0.05)
    monkeypatch.setattr(connecting, "PENALTY_PATIENCE_S", 0.3)
    door = _Penalising(b"Not allowed at this time\r\n", 1000, openssh_server.port)
    endpoint = dataclasses.replace(openssh_server, port=door.port)
    with pytest.raises(UnreachableError, match=r"refuses this address.*wait some minutes"):
        connect(endpoint, known_hosts=tmp_path / "pins")
    door.close()
