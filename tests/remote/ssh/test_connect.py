"""Why a pod can't be reached, each in one line with its cure."""

from __future__ import annotations

import dataclasses
import logging
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.errors import ConfigError, MoolaError, UnreachableError
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.socket import ReadAheadSocket
from tests.support.lanes import HANGS_S

pytestmark = pytest.mark.process


def _refusal(endpoint: Endpoint, folder: Path, timeout_s: float = HANGS_S) -> MoolaError:
    with pytest.raises(MoolaError) as caught:
        connect(endpoint, known_hosts=folder / "known_hosts", timeout_s=timeout_s)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def _at(endpoint: Endpoint, port: int) -> Endpoint:
    return dataclasses.replace(endpoint, port=port)


def _with_key(endpoint: Endpoint, path: Path | None) -> Endpoint:
    return dataclasses.replace(endpoint, identity_file=path)


def _keygen(path: Path, *, passphrase: str = "") -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def test_nobody_listens(endpoint: Endpoint, listener: socket.socket, tmp_path: Path) -> None:
    port = listener.getsockname()[1]
    listener.close()
    error = _refusal(_at(endpoint, port), tmp_path)
    assert isinstance(error, UnreachableError)
    assert "connection refused" in str(error)


def test_a_server_that_says_nothing(
    endpoint: Endpoint, listener: socket.socket, tmp_path: Path
) -> None:
    error = _refusal(_at(endpoint, listener.getsockname()[1]), tmp_path, timeout_s=0.3)
    assert isinstance(error, UnreachableError)
    assert "no SSH server answers" in str(error)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad\r\n\r\n", b"\x1b[2J\xff\n" * 200, b""])
def test_a_server_of_another_kind(
    endpoint: Endpoint,
    listener: socket.socket,
    greeting: bytes,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def greet() -> None:
        conn, _ = listener.accept()
        with conn:
            conn.sendall(greeting)

    thread = threading.Thread(target=greet)
    thread.start()
    error = _refusal(_at(endpoint, listener.getsockname()[1]), tmp_path)
    thread.join()
    assert isinstance(error, UnreachableError)
    assert "\x1b" not in str(error)


def test_a_key_that_the_pod_does_not_know(endpoint: Endpoint, tmp_path: Path) -> None:
    error = _refusal(_with_key(endpoint, _keygen(tmp_path / "other")), tmp_path)
    assert isinstance(error, UnreachableError)
    assert f"refuses user {endpoint.user}" in str(error)
    assert "authorized_keys" in error.cure


def test_no_key_at_all(endpoint: Endpoint, tmp_path: Path) -> None:
    error = _refusal(_with_key(endpoint, None), tmp_path)
    assert isinstance(error, UnreachableError)
    assert "no key to offer" in str(error)


def test_a_key_with_a_passphrase_and_no_agent(endpoint: Endpoint, tmp_path: Path) -> None:
    key = _keygen(tmp_path / "locked", passphrase="x" * 8)
    error = _refusal(_with_key(endpoint, key), tmp_path)
    assert isinstance(error, UnreachableError)
    assert "ssh-add" in error.cure


def test_an_identity_file_that_is_missing(endpoint: Endpoint, tmp_path: Path) -> None:
    error = _refusal(_with_key(endpoint, tmp_path / "absent"), tmp_path)
    assert isinstance(error, ConfigError)
    assert "absent" in str(error)


def test_an_identity_file_that_others_can_read(endpoint: Endpoint, tmp_path: Path) -> None:
    key = _keygen(tmp_path / "open")
    key.chmod(0o644)
    error = _refusal(_with_key(endpoint, key), tmp_path)
    assert isinstance(error, ConfigError)
    assert error.cure.startswith("chmod 600")


@pytest.mark.parametrize(
    "content", ["ssh-ed25519 AAAA x", "-----BEGIN OPENSSH PRIVATE KEY-----\nx"]
)
def test_an_identity_file_that_is_no_private_key(
    endpoint: Endpoint, content: str, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(content)
    key.chmod(0o600)
    error = _refusal(_with_key(endpoint, key), tmp_path)
    assert isinstance(error, ConfigError)
    assert "not a private key" in str(error)


def test_the_users_ssh_config_is_not_read(endpoint: Endpoint, tmp_path: Path) -> None:
    folder = Path.home() / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    config = folder / "config"
    config.write_text("Host *\n  Port 1\n  User nobody\n  ProxyCommand false\n")
    try:
        connect(endpoint, known_hosts=tmp_path / "known_hosts").close()
    finally:
        config.unlink()


def test_connecting_says_nothing_without_verbose(
    endpoint: Endpoint, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger("paramiko")
    _refusal(_with_key(endpoint, _keygen(tmp_path / "other")), tmp_path)
    assert capfd.readouterr() == ("", "")


def test_what_was_read_ahead_is_handed_out_in_the_pieces_that_are_asked_for() -> None:
    near, far = socket.socketpair()
    with near, far:
        listening = ReadAheadSocket(near)
        far.sendall(b"head and the rest")
        assert listening.recv(4) == b"head"
        heard_at = listening.heard_at
        assert (listening.recv(9), listening.recv(99)) == (b" and the ", b"rest")
        assert listening.heard_at == heard_at
        far.sendall(b"more")
        far.close()
        assert (listening.recv(99), listening.recv(99)) == (b"more", b"")
