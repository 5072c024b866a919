"""The way to a host: a TCP connection, a command of the user's, or a channel through jump hosts."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import subprocess
import tempfile
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

from moola_remote.errors import ConfigError, MoolaError, UnreachableError
from moola_remote.ssh.endpoint import Endpoint, place
from moola_remote.ssh.socket import GREETING, ReadAheadSocket
from moola_remote.ssh.tcp import by_tcp
from moola_remote.ssh.user_config import HostConfig, resolve
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    import paramiko
# Logs in to a jump host; the result is its connection and what closes it.
DialGateway = Callable[
    [Endpoint, "tuple[str, ...]"], "tuple[paramiko.Transport, Callable[[], object]]"
]
MAX_JUMPS = 8
SILENT = "it said nothing"
_JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@\s]+)@)?(?P<host>\[[^\]\s]+\]|[^:\s]+)(?::(?P<port>\d+))?/?"
)


def open_route(
    endpoint: Endpoint, passed: tuple[str, ...], dial: DialGateway, timeout_s: float
) -> ReadAheadSocket:
    """Open the way to `endpoint`.

    Args:
        endpoint: a pod or a jump host.
        passed: the hosts that wait for this one, as the user names them.
        dial: logs in to a jump host.
        timeout_s: for a TCP connection, and for a jump host to make one.

    Raises:
        UnreachableError: it can't be reached.
        ConfigError: the jumps go in a circle.
    """
    config = endpoint.host_config
    if config is not None and config.jumps:
        return _through(endpoint, config, passed, dial, timeout_s)
    if config is not None and config.proxy_command:
        sock = _by_command(endpoint, config.proxy_command)
        return sock.passed(timeout_s) if config.passes_socket else sock
    return by_tcp(endpoint, timeout_s)


def gateway_of(config: HostConfig, passed: tuple[str, ...]) -> Endpoint:
    """Return the last jump host before `config`'s host; those before it are its own jumps.

    Raises:
        ConfigError: the jumps go in a circle, or one can't be read.
    """
    *before, last = config.jumps
    match = _JUMP.fullmatch(last)
    if not match:
        raise ConfigError(
            f"jump host {safe(last, 100)!r}: expected user@host:port", "correct ProxyJump or -J"
        )
    name = match["host"].strip("[]")
    port = int(match["port"]) if match["port"] else None
    way = (*passed, config.host, name)
    if name in (*passed, config.host) or len(way) > MAX_JUMPS:
        raise ConfigError(
            f"jump hosts go in a circle: {safe(' -> '.join(way), 300)}",
            f"correct ProxyJump of {safe(name, 100)} in ~/.ssh/config",
        )
    file = config.arguments[:2] if config.arguments[:1] == ("-F",) else ()
    found = resolve(name, user=match["user"], port=port, file=file)
    if before:
        # As in OpenSSH: a jump host after another one is reached only through that one.
        found = dataclasses.replace(found, jumps=tuple(before), proxy_command=None)
    return Endpoint(
        name=f"jump-{re.sub(r'[^A-Za-z0-9._-]', '-', name)}",
        host=found.hostname,
        port=found.port,
        user=found.user,
        identity_file=None,
        host_key=None,
        known_key=None,
        root="",
        python="",
        price_per_hour=None,
        host_config=found,
    )


def _through(
    endpoint: Endpoint,
    config: HostConfig,
    passed: tuple[str, ...],
    dial: DialGateway,
    timeout_s: float,
) -> ReadAheadSocket:
    import paramiko

    gateway = gateway_of(config, passed)
    try:
        ssh, close = dial(gateway, (*passed, config.host))
    except ConfigError:
        raise
    except UnreachableError as err:
        raise UnreachableError(f"{place(endpoint)}: jump host {err.message}", err.cure) from err
    try:
        channel: Any = ssh.open_channel(
            "direct-tcpip", (endpoint.host, endpoint.port), ("127.0.0.1", 0), timeout=timeout_s
        )
    except (paramiko.SSHException, OSError, EOFError) as err:
        close()
        raise _refused_by_jump(endpoint, gateway, err) from err
    return ReadAheadSocket(channel, close)


def _refused_by_jump(endpoint: Endpoint, gateway: Endpoint, err: Exception) -> UnreachableError:
    import paramiko

    start = f"{place(endpoint)}: not reached from the jump host {place(gateway)}"
    if isinstance(err, paramiko.ChannelException) and err.code == 1:
        return UnreachableError(
            f"{start}, which forbids forwarding",
            "its sshd_config needs AllowTcpForwarding; or take another jump host",
        )
    return UnreachableError(
        f"{start}, {safe(str(err), 200) or 'no answer'}",
        "is the pod running, and does the jump host know this name and port?",
    )


def _by_command(endpoint: Endpoint, command: str) -> CommandSocket:
    """Return the stdin and stdout of a shell command, as OpenSSH runs a ProxyCommand.

    paramiko's own ProxyCommand splits the words itself instead, so pipes and ``2>`` are arguments.
    """
    ours, theirs = socket.socketpair()
    said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the socket
    with theirs:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=said,
            start_new_session=True,
        )

    def end() -> None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        said.close()

    return CommandSocket(endpoint, command, ours, end, said)


class CommandSocket(ReadAheadSocket):
    """The way through a ProxyCommand: when it ends early, its last words are the reason."""

    def __init__(
        self,
        endpoint: Endpoint,
        command: str,
        sock: socket.socket,
        end: Callable[[], None],
        said: IO[bytes],
    ) -> None:
        super().__init__(sock, end)
        self._where = place(endpoint)
        self._command = command
        self._said = said
        self._words = SILENT

    def passed(self, timeout_s: float) -> ReadAheadSocket:
        """Return the socket that the command connects and sends, as of ``ProxyUseFdpass``.

        Raises:
            UnreachableError: it sends none in time.
        """
        self._sock.settimeout(timeout_s)
        try:
            _, sockets, _, _ = socket.recv_fds(self._sock, 1, 1)
        except OSError:
            sockets = []
        if not sockets:
            error = self._no_server("passes no connected socket")
            self.close()
            raise error
        self.close()
        return ReadAheadSocket(socket.socket(fileno=sockets[0]))

    def close(self) -> None:
        """Close it, after reading the last words of the command."""
        self._read_words()
        super().close()

    def _read_words(self) -> None:
        if not self.greeting:  # what it printed before it ended, and nobody has come to read
            with contextlib.suppress(OSError):
                self._sock.settimeout(0)
                self.greeting = self._sock.recv(GREETING)
        with contextlib.suppress(OSError, ValueError):  # ValueError: it is closed
            self._said.seek(0)
            lines = self._said.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
            self._words = safe(lines[-1], 200) if lines else self._words

    def failure(self) -> MoolaError | None:
        """Return why the command failed, or None where the host has answered."""
        # Lines may come before the server's, as RFC 4253 has it.
        lines = self.greeting.decode("utf-8", "replace").splitlines()
        if any(line.startswith("SSH-") for line in lines):
            return None
        said = [line for line in lines if line.strip()]
        if said:
            self._words = f"it said {safe(said[-1].strip(), 200)}"
        return self._no_server("leads to no SSH server")

    def _no_server(self, what: str) -> UnreachableError:
        self._read_words()
        return UnreachableError(
            f"{self._where}: its ProxyCommand {what}: {self._words}",
            f"try by hand: {safe(self._command, 200)}",
        )
