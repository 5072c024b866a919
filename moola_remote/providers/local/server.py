"""The SSH server of the local pod, on asyncssh: who may enter, and what a channel may ask for."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.stream import SSHServerStreamSession

from moola_remote.files import atomic
from moola_remote.providers.local.command import Account, Children, Command
from moola_remote.providers.local.pty import Size, Terminal
from moola_remote.providers.local.state import (
    VERSION,
    LocalPodFolder,
    PodRecord,
    identity_of,
)

# AES runs in hardware; without these asyncssh and OpenSSH agree on chacha20, at half the speed.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
SFTP_VERSION = 3  # OpenSSH's
_log = logging.getLogger(__name__)


async def serve(folder: LocalPodFolder, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM; `ready` is called once clients can connect.

    Raises:
        OSError: no port, or a file of the folder that can't be read or written.
        ValueError: a key of the folder that is no key.
    """
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    host_key = _key(folder.host_key)
    door = _Door(_key(folder.client_key))
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: _Server(door),
        server_host_keys=[host_key],
        password_auth=False,
        kbdint_auth=False,
        agent_forwarding=False,
        gss_host=None,
        line_editor=False,
        encoding=None,
        encryption_algs=CIPHERS,
    )
    folder.root.mkdir(mode=0o700, exist_ok=True)
    record = _record(host_key, acceptor.get_port())
    folder.write_record(record)
    _log.info("serving on port %d", record.port)
    ready()
    await ended.wait()
    acceptor.close()
    folder.record.unlink(missing_ok=True)
    for connection in list(door.connections):
        connection.disconnect(asyncssh.DISC_BY_APPLICATION, "the local pod was stopped")
    _log.info("ended")


def _record(host_key: asyncssh.SSHKey, port: int) -> PodRecord:
    pid = os.getpid()
    identity = identity_of(pid)
    assert identity
    return PodRecord(
        pid=pid,
        identity=identity,
        port=port,
        user=Account.of_process().name,
        host_key=_public(host_key),
        fingerprint=host_key.get_fingerprint("sha256"),
        version=VERSION,
        started_at=time.time(),
    )


def _key(path: Path) -> asyncssh.SSHKey:
    """Return the private key at `path`, made on first use; its public half is beside it."""
    if not path.exists():
        made = asyncssh.generate_private_key("ssh-ed25519", comment="moola local pod")
        atomic.write(path.with_name(f"{path.name}.pub"), _public(made) + "\n")
        atomic.write(path, made.export_private_key().decode("ascii"))
    path.chmod(0o600)
    try:
        return asyncssh.read_private_key(path)
    except asyncssh.KeyImportError as err:
        raise ValueError(f"{path}: not a private key, remove it to have a new one made") from err


def _public(key: asyncssh.SSHKey) -> str:
    kind, blob, *_ = key.export_public_key().decode("ascii").split()
    return f"{kind} {blob}"


class _Door:
    """What all connections share: who may enter, who is in, and what runs."""

    def __init__(self, client_key: asyncssh.SSHKey) -> None:
        self.user = Account.of_process().name
        self.keys = asyncssh.import_authorized_keys(_public(client_key))
        self.children = Children()
        self.connections: set[asyncssh.SSHServerConnection] = set()


class _Server(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, door: _Door) -> None:
        self._door = door
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._door.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        assert self._connection
        self._door.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        """Whether the client has to prove itself: always. Another user finds no key that fits."""
        assert self._connection
        if username == self._door.user:
            self._connection.set_authorized_keys(self._door.keys)
        return True

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return _Session(self._door.children)

    def connection_requested(
        self,
        dest_host: str,  # noqa: ARG002
        dest_port: int,  # noqa: ARG002
        orig_host: str,  # noqa: ARG002
        orig_port: int,  # noqa: ARG002
    ) -> bool:
        """Whether ``ssh -L`` may pass: the client is the user, who can connect there anyway."""
        return True


class _Sftp(asyncssh.SFTPServer):
    """asyncssh's, with an exit status: without one OpenSSH's scp says that it failed."""

    def exit(self) -> None:
        self.channel.exit(0)


def _sftp(channel: SSHChannel[bytes]) -> asyncssh.SFTPServer:
    assert isinstance(channel, asyncssh.SSHServerChannel)
    return _Sftp(channel)


class _Session(asyncssh.SSHServerSession[bytes]):
    """One channel: a command of ours, or asyncssh's sftp."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._terminal: Terminal | None = None
        self._command: Command | None = None
        self._sftp: SSHServerStreamSession[bytes] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: Size, term_modes: Mapping[int, int]) -> bool:
        self._terminal = Terminal(term_type, term_size, dict(term_modes))
        return True

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:  # noqa: ARG002
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        assert self._channel
        if subsystem != "sftp":
            return False
        self._sftp = SSHServerStreamSession(None, _sftp, SFTP_VERSION)
        self._sftp.connection_made(self._channel)
        return True

    def session_started(self) -> None:
        assert self._channel
        if self._sftp:
            self._sftp.session_started()
            return
        self._command = Command(self._channel, self._children, self._terminal)
        self._command.start()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._command:
            self._command.feed(data)
        elif self._sftp:
            self._sftp.data_received(data, datatype)

    def eof_received(self) -> bool:
        if self._command:
            self._command.feed_end()
        elif self._sftp:
            self._sftp.eof_received()
        return True  # the other direction stays open

    def pause_writing(self) -> None:
        if self._command:
            self._command.pause()
        elif self._sftp:
            self._sftp.pause_writing()

    def resume_writing(self) -> None:
        if self._command:
            self._command.resume()
        elif self._sftp:
            self._sftp.resume_writing()

    def signal_received(self, signal: str) -> None:
        if self._command:
            self._command.signal(signal)

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if self._command:
            self._command.resize((width, height, pixwidth, pixheight))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._command:
            self._command.hang_up()
        elif self._sftp:
            self._sftp.connection_lost(exc)
