"""The connection to a pod: commands, channels and rsync over one Fabric connection.

The only module that starts rsync or opens a connection; the rest of moola_remote sees `Transport` and `Channel`.
A connection that is lost, or a pod that stops answering, is always an `UnreachableError`: it says nothing of the job.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from moola_remote import hostkeys
from moola_remote.errors import ConfigError, UnreachableError

if TYPE_CHECKING:
    import fabric
    import paramiko

logger = logging.getLogger(__name__)

# Bytes sent or received so far; called a few times a second.
Progress = Callable[[int], None]

KEEPALIVE_S = 5.0
KEEPALIVE_MISSED = 3
# GCM needs no separate MAC: about twice the speed of paramiko's first choice (aes128-ctr with hmac-sha2-256).
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
BLOCK = 1 << 16
STDERR_KEPT = 1 << 16


class Endpoint(Protocol):
    """Where a pod is and how to enter it; `moola_remote.providers` makes them."""

    @property
    def name(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def user(self) -> str: ...
    @property
    def identity_file(self) -> Path | None: ...
    @property
    def host_key(self) -> str | None: ...


@dataclass(frozen=True)
class Completed:
    """How a command on the pod ended; `returncode` is -1 where a signal ended it."""

    returncode: int
    stdout: bytes
    stderr: bytes


class Channel(Protocol):
    """A command that runs on the pod: its stdin, stdout and end. One reader and one writer at a time."""

    def read(self, n: int, timeout_s: float | None = None) -> bytes:
        """At most `n` bytes of stdout as soon as there are any; empty at its end.

        Raises:
            UnreachableError: nothing came within `timeout_s`, or the connection was lost.
        """
        ...

    def write(self, data: bytes) -> None:
        """All of `data` to stdin.

        Raises:
            UnreachableError: the connection was lost, or the command has ended.
        """
        ...

    def close_stdin(self) -> None:
        """The command reads the end of its stdin."""
        ...

    def close(self) -> None:
        """Let go of the command; whether it ends is its own matter."""
        ...

    def returncode(self, timeout_s: float | None = None) -> int:
        """The exit code, once stdout has ended; -1 where a signal ended it. Waits for it.

        Raises:
            UnreachableError: it was not told within `timeout_s`, or the connection was lost before.
        """
        ...

    def stderr(self) -> bytes:
        """What came on stderr so far, its last 64 KiB."""
        ...


class Transport(Protocol):
    """A connection to a pod. Safe for several threads."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Run a command to its end, through the far ``sh``; any exit code is a result.

        Raises:
            UnreachableError: it did not end within `timeout_s`, or the connection was lost.
        """
        ...

    def open(self, argv: Sequence[str]) -> Channel:
        """Start a command and talk to it while it runs."""
        ...

    def push(
        self,
        source: Path,
        dest: PurePosixPath,
        *,
        files: Sequence[str] | None = None,
        link_dest: PurePosixPath | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Bring a folder's content, or those of its `files`, to the pod's folder `dest`; it is made if need be.

        Args:
            source: a folder here.
            dest: a folder on the pod.
            files: paths below `source`, POSIX; None sends everything.
            link_dest: a folder on the pod whose equal files are linked rather than sent.
            progress: told the bytes so far.

        Returns:
            Bytes of file content that went over the line.

        Raises:
            TransferError: a file is missing or changed, the disk is full, or rsync failed otherwise.
            UnreachableError: the connection was lost, or rsync is missing on the pod.
        """
        ...

    def pull(
        self,
        source: PurePosixPath,
        dest: Path,
        *,
        files: Sequence[str],
        max_file: int,
        max_bytes: int,
        progress: Progress | None = None,
    ) -> int:
        """Bring `files` of the pod's folder `source` into `dest`: regular files alone, without owners or odd modes.

        What has arrived is not sent again; the far side is not believed: verify what came.

        Args:
            source: a folder on the pod.
            dest: a folder here that exists.
            files: paths below `source`.
            max_file: no single file grows above these bytes here.
            max_bytes: the transfer is stopped above these bytes in all.
            progress: told the bytes so far.

        Returns:
            Bytes of file content that went over the line.

        Raises:
            TransferError: a file is missing, a cap was reached, or rsync failed otherwise.
            UnreachableError: the connection was lost, or rsync is missing on the pod.
        """
        ...

    def close(self) -> None:
        """Close the connection; twice does no harm."""
        ...


def connect(
    endpoint: Endpoint,
    *,
    known_hosts: Path,
    ask: Callable[[str], bool] | None = None,
    timeout_s: float = 10.0,
) -> Transport:
    """Connect to a pod; its host key is checked against the pin, and pinned at first contact.

    The user's ~/.ssh/config and known_hosts are not read.

    Args:
        endpoint: where the pod is.
        known_hosts: the tool's own file of pins.
        ask: whether a fingerprint never seen before is the right one; None where nobody can be asked.
        timeout_s: for the TCP connection, for the banner and for the authentication, each.

    Raises:
        UnreachableError: refused, unknown name, timeout, no SSH server, or the pod refuses our key.
        HostKeyError: the key is unknown and nobody vouches for it, or it has changed.
        ConfigError: the identity file is missing, readable by others, or no private key.
    """
    # With no handler at all, logging would print paramiko's own tracebacks to stderr.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    started = time.monotonic()
    where = f"{endpoint.name} ({endpoint.host}:{endpoint.port})"
    key_options = _key_options(endpoint)
    sock = _dial(endpoint, where, timeout_s)
    connection = _fabric_connection(endpoint, sock, key_options, timeout_s)
    with contextlib.ExitStack() as on_error:
        on_error.callback(sock.close)
        on_error.callback(connection.close)
        pins = hostkeys.KnownHosts(known_hosts)
        pins.guard(connection.client, endpoint, ask)
        with _one_line(endpoint, where):
            connection.open()
        on_error.pop_all()
    logger.info("connected to %s in %.0f ms", where, 1000 * (time.monotonic() - started))
    return FabricTransport(where, connection, sock)


def _key_options(endpoint: Endpoint) -> dict[str, Any]:
    """Which keys paramiko may offer: the identity file alone, or else the agent's and the usual ones."""
    path = endpoint.identity_file
    if path is None:
        return {"allow_agent": True, "look_for_keys": True}
    try:
        mode = path.stat().st_mode
        text = path.read_bytes()
    except OSError as err:
        raise ConfigError(
            f"{path}: can't read the identity file of pod {endpoint.name}, {err.strerror}",
            "correct identity_file in the pod's file",
        ) from err
    if mode & 0o077:
        raise ConfigError(
            f"{path}: others may read this private key, expected mode 600, got {mode & 0o777:o}",
            f"chmod 600 {shlex.quote(str(path))}",
        )
    if b"PRIVATE KEY" not in text:
        raise ConfigError(f"{path}: not a private key", "identity_file names the private half, without .pub")
    # The agent is asked only where the file can't be opened without a passphrase.
    return {"key_filename": str(path), "allow_agent": _has_passphrase(path), "look_for_keys": False}


def _has_passphrase(path: Path) -> bool:
    import paramiko

    try:
        paramiko.PKey.from_path(path)
    except (paramiko.PasswordRequiredException, TypeError):
        return True
    except (paramiko.SSHException, ValueError) as err:
        raise ConfigError(f"{path}: not a private key that can be read, {err}") from err
    return False


class _Socket:
    """A TCP connection that remembers when the far side was last heard."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.heard_at = time.monotonic()

    def recv(self, n: int) -> bytes:
        data = self._sock.recv(n)
        self.heard_at = time.monotonic()
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _dial(endpoint: Endpoint, where: str, timeout_s: float) -> _Socket:
    try:
        sock = socket.create_connection((endpoint.host, endpoint.port), timeout=timeout_s)
    except socket.gaierror as err:
        raise UnreachableError(
            f"{where}: no such host name", "check the name, and this machine's network"
        ) from err
    except TimeoutError as err:
        raise UnreachableError(
            f"{where}: no answer within {timeout_s:.0f} s", "is the pod running, and is its port open?"
        ) from err
    except ConnectionRefusedError as err:
        raise UnreachableError(
            f"{where}: connection refused", "is the pod running, and is this the port of its SSH server?"
        ) from err
    except OSError as err:
        raise UnreachableError(f"{where}: {err.strerror or err}") from err
    # Small messages (frames, acknowledgements) must not wait for each other.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _Socket(sock)


def _fabric_connection(
    endpoint: Endpoint, sock: _Socket, key_options: dict[str, Any], timeout_s: float
) -> fabric.Connection:
    import fabric
    import paramiko

    def make(raw: Any, **options: Any) -> paramiko.Transport:
        transport = paramiko.Transport(raw, **options)
        offered = transport.get_security_options()
        offered.ciphers = tuple(name for name in CIPHERS if name in offered.ciphers)
        return transport

    return fabric.Connection(
        endpoint.host,
        user=endpoint.user,
        port=endpoint.port,
        config=fabric.Config(overrides={"load_ssh_configs": False}),
        connect_timeout=timeout_s,
        connect_kwargs={
            "sock": sock,
            "banner_timeout": timeout_s,
            "auth_timeout": timeout_s,
            "channel_timeout": timeout_s,
            "transport_factory": make,
            **key_options,
        },
    )


@contextlib.contextmanager
def _one_line(endpoint: Endpoint, where: str) -> Iterator[None]:
    """Says what went wrong in connecting."""
    import paramiko

    try:
        yield
    except paramiko.AuthenticationException as err:
        if "timeout" in str(err).lower():
            raise UnreachableError(f"{where}: no answer to our key in time") from err
        key = endpoint.identity_file or "any key of the agent or ~/.ssh"
        raise UnreachableError(
            f"{where}: the pod refuses user {endpoint.user} with {key}",
            "add the public key to ~/.ssh/authorized_keys there, or correct user and identity_file",
        ) from err
    except paramiko.SSHException as err:
        if "banner" in str(err):
            raise UnreachableError(
                f"{where}: something listens there, but no SSH server answers", "check host and port"
            ) from err
        if "No authentication methods" in str(err):
            raise UnreachableError(
                f"{where}: no key to offer", "set identity_file in the pod's file, or start ssh-agent"
            ) from err
        raise UnreachableError(f"{where}: SSH failed, {_escaped(str(err))}") from err
    except (OSError, EOFError) as err:
        raise UnreachableError(
            f"{where}: connection lost while connecting, {_escaped(str(err)) or 'closed by the pod'}"
        ) from err


def _escaped(text: str) -> str:
    """What came from the pod as one line without control characters."""
    return " ".join(text.split()).encode("unicode_escape").decode("ascii")


class FabricTransport:
    """`Transport` over one Fabric connection, with a heartbeat: 15 s of silence end it."""

    def __init__(self, where: str, connection: fabric.Connection, sock: _Socket) -> None:
        self._where = where
        self._connection = connection
        self._sock = sock
        self._ssh: paramiko.Transport = connection.transport
        self._silent = False
        self._closed = threading.Event()
        threading.Thread(target=self._heartbeat, name="moola-heartbeat", daemon=True).start()

    def _heartbeat(self) -> None:
        # paramiko's own keepalive asks for no reply, so it never notices a dead peer.
        asker = None
        while not self._closed.wait(KEEPALIVE_S) and self._ssh.is_active():
            if time.monotonic() - self._sock.heard_at > KEEPALIVE_S * KEEPALIVE_MISSED:
                self._silent = True
                self._ssh.close()
                return
            if asker is None or not asker.is_alive():
                ask = ("keepalive@openssh.com",)
                asker = threading.Thread(target=self._ssh.global_request, args=ask, daemon=True)
                asker.start()

    def lost(self) -> UnreachableError:
        """Why the connection is gone."""
        if self._silent:
            return UnreachableError(
                f"{self._where}: nothing heard for {KEEPALIVE_S * KEEPALIVE_MISSED:.0f} s, connection given up"
            )
        return UnreachableError(f"{self._where}: connection lost")

    def stalled(self, timeout_s: float) -> UnreachableError:
        """What to say when a deadline has passed."""
        return UnreachableError(f"{self._where}: no answer within {timeout_s:.0f} s")

    def is_lost(self) -> bool:
        """Whether the connection is gone."""
        # When paramiko's thread closes the channels it has not yet said that it is going.
        self._ssh.join(0.2)
        return not self._ssh.is_active()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """See `Transport.run`."""
        deadline = time.monotonic() + timeout_s
        channel = self.open(argv)
        feeder = threading.Thread(target=channel.feed, args=(stdin,), daemon=True)
        try:
            feeder.start()
            parts = []
            while part := channel.read(BLOCK, max(deadline - time.monotonic(), 0.001)):
                parts.append(part)
            code = channel.returncode(max(deadline - time.monotonic(), 0.001))
            return Completed(code, b"".join(parts), channel.stderr())
        finally:
            channel.close()

    def open(self, argv: Sequence[str]) -> FabricChannel:
        """See `Transport.open`."""
        return FabricChannel(self, self.start(shlex.join(argv)))

    def start(self, command: str) -> paramiko.Channel:
        """A channel on which `command` runs."""
        import paramiko

        try:
            channel = self._ssh.open_session()
            channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as err:
            if self.is_lost():
                raise self.lost() from err
            raise UnreachableError(
                f"{self._where}: the pod starts no command, {_escaped(str(err))}"
            ) from err
        return channel

    def close(self) -> None:
        """See `Transport.close`."""
        self._closed.set()
        self._connection.close()
        self._sock.close()


class FabricChannel:
    """`Channel` over one paramiko channel."""

    def __init__(self, transport: FabricTransport, channel: paramiko.Channel) -> None:
        self._transport = transport
        self._channel = channel
        self._stderr = b""
        # Unread, it would fill the window that stdout needs too.
        self._drain = threading.Thread(target=self._read_stderr, daemon=True)
        self._drain.start()

    def _read_stderr(self) -> None:
        while True:
            try:
                part = self._channel.recv_stderr(BLOCK)
            except TimeoutError:  # paramiko has one timeout for both streams: stdout's
                continue
            if not part:
                return
            self._stderr = (self._stderr + part)[-STDERR_KEPT:]

    def read(self, n: int, timeout_s: float | None = None) -> bytes:
        """See `Channel.read`."""
        self._channel.settimeout(timeout_s)
        try:
            data = self._channel.recv(n)
        except TimeoutError as err:
            raise self._transport.stalled(timeout_s or 0.0) from err
        # paramiko ends the stream in the same way when the connection is lost; then nobody has sent an EOF.
        if not data and not self._channel.eof_received:
            raise self._transport.lost()
        return data

    def write(self, data: bytes) -> None:
        """See `Channel.write`."""
        try:
            self._channel.sendall(data)
        except TimeoutError as err:
            raise self._transport.stalled(self._channel.gettimeout() or 0.0) from err
        except OSError as err:
            if self._transport.is_lost():
                raise self._transport.lost() from err
            raise UnreachableError("the command on the pod has ended and reads no more") from err

    def feed(self, data: bytes) -> None:
        """All of `data` to stdin, then its end; a command need not read it."""
        with contextlib.suppress(UnreachableError, OSError):
            self.write(data)
            self.close_stdin()

    def close_stdin(self) -> None:
        """See `Channel.close_stdin`."""
        with contextlib.suppress(OSError):
            self._channel.shutdown_write()

    def returncode(self, timeout_s: float | None = None) -> int:
        """See `Channel.returncode`."""
        if not self._channel.status_event.wait(timeout_s):
            raise self._transport.stalled(timeout_s or 0.0)
        code = self._channel.exit_status
        if code == -1 and self._transport.is_lost():
            raise self._transport.lost()
        return code

    def stderr(self) -> bytes:
        """See `Channel.stderr`."""
        if self._channel.eof_received:
            self._drain.join()
        return self._stderr

    def close(self) -> None:
        """See `Channel.close`."""
        self._channel.close()
