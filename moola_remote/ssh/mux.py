"""Sessions on the connection of an OpenSSH master, by its own protocol (PROTOCOL.mux, version 4).

``ssh -S SOCKET`` speaks it, too; here no further program is started, and the end of a session
without an exit code is not taken for exit code 255.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from moola_remote.ssh.link import LinkGoneError, SessionRefusedError
from moola_remote.text.sanitize import safe

VERSION = 4
HELLO = 0x00000001
NEW_SESSION = 0x10000002
ALIVE_CHECK = 0x10000004
NEW_STDIO_FORWARD = 0x10000008
STOP_LISTENING = 0x10000009
DENIED = 0x80000002
FAILURE = 0x80000003
EXIT = 0x80000004
ALIVE = 0x80000005
OPENED = 0x80000006
NO_ESCAPE = 0xFFFFFFFF
# In bytes; far above any message of a master.
MAX_MESSAGE = 1 << 18
ANSWER_TIMEOUT_S = 5.0
# A master whose connection is dead, as after a sleep of the laptop, may take longer to notice.
SESSION_TIMEOUT_S = 10.0


def alive_pid(path: Path) -> int | None:
    """Return the process of the master behind a socket, or None where none answers."""
    with contextlib.suppress(OSError), _connect(path, ANSWER_TIMEOUT_S) as control:
        _send(control, ALIVE_CHECK, 1)
        kind, body = _receive(control)
        if kind == ALIVE and len(body) == 8:
            return int.from_bytes(body[4:], "big")
    return None


def stop_listening(path: Path) -> None:
    """Have the master take no further command, and end with those that it has."""
    with contextlib.suppress(OSError), _connect(path, ANSWER_TIMEOUT_S) as control:
        _send(control, STOP_LISTENING, 1)
        _receive(control)


def open_session(path: Path, command: str, is_lost: Callable[[], bool]) -> MuxChannel:
    """Start a command on the connection of the master behind `path`.

    Args:
        path: of its socket.
        command: for the pod's login shell.
        is_lost: whether that connection is gone.

    Raises:
        SessionRefusedError: the server allows no further one.
        LinkGoneError: no master answers, or it does not before `SESSION_TIMEOUT_S`.
    """
    words = (NEW_SESSION, 1, b"", 0, 0, 0, 0, NO_ESCAPE, b"", command.encode())
    return _open(path, words, 3, is_lost)


def open_forward(path: Path, target: tuple[str, int], is_lost: Callable[[], bool]) -> MuxChannel:
    """Return a channel to a host and port as the pod sees them; errors as of `open_session`."""
    words = (NEW_STDIO_FORWARD, 1, b"", target[0].encode(), target[1])
    return _open(path, words, 2, is_lost)


def _open(
    path: Path, words: tuple[int | bytes, ...], num_streams: int, is_lost: Callable[[], bool]
) -> MuxChannel:
    with contextlib.ExitStack() as on_error:
        control = on_error.enter_context(_connect(path, SESSION_TIMEOUT_S))
        ours = []
        try:
            _send(control, *words)
            for _ in range(num_streams):
                near, far = socket.socketpair()
                ours.append(on_error.enter_context(near))
                with far:
                    socket.send_fds(control, [b"\0"], [far.fileno()])
            kind, body = _receive(control)
        except OSError as err:
            raise LinkGoneError(f"no answer of the master, {err}") from err
        if kind in (DENIED, FAILURE):
            size = int.from_bytes(body[4:8], "big")
            raise SessionRefusedError(safe(body[8 : 8 + size].decode("utf-8", "replace"), 200))
        if kind != OPENED:
            raise LinkGoneError(f"the master answers with {kind:#x}")
        on_error.pop_all()
    return MuxChannel(control, ours, is_lost)


def _connect(path: Path, timeout_s: float) -> socket.socket:
    control = socket.socket(socket.AF_UNIX)
    try:
        control.settimeout(timeout_s)
        control.connect(str(path))
        _send(control, HELLO, VERSION)
        kind, body = _receive(control)
        if kind != HELLO or int.from_bytes(body[:4], "big") != VERSION:
            raise LinkGoneError(f"{path}: not a master of OpenSSH's, or not of this version")
    except OSError as err:
        control.close()
        raise LinkGoneError(f"{path}: no master, {err}") from err
    return control


def _send(control: socket.socket, *fields: int | bytes) -> None:
    def packed(value: int) -> bytes:
        return value.to_bytes(4, "big")

    body = b"".join(
        packed(field) if isinstance(field, int) else packed(len(field)) + field for field in fields
    )
    control.sendall(packed(len(body)) + body)


def _receive(control: socket.socket) -> tuple[int, bytes]:
    """Return the type of the next message and what follows it; its end is an error."""
    size = int.from_bytes(_exactly(control, 4), "big")
    if not 4 <= size <= MAX_MESSAGE:
        raise LinkGoneError(f"a message of {size} bytes")
    body = _exactly(control, size)
    return int.from_bytes(body[:4], "big"), body[4:]


def _exactly(control: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = control.recv(size - len(found))
        if not part:
            raise LinkGoneError("the master has hung up")
        found += part
    return found


class MuxChannel:
    """A session of a master, with the methods of a paramiko channel.

    Args:
        control: the connection to the master that the session lives by.
        streams: our ends of stdin, stdout and, where there is one, stderr.
        is_lost: whether the connection to the server is gone.

    Attributes:
        exit_status: -1 until there is one, and where a signal ended the command.
        status_event: set once it is known, or never will be.
    """

    def __init__(
        self, control: socket.socket, streams: list[socket.socket], is_lost: Callable[[], bool]
    ) -> None:
        self._control = control
        self._stdin, self._stdout, *self._others = streams
        self._is_lost = is_lost
        self._ended = self.is_closed = False
        self.exit_status = -1
        self.status_event = threading.Event()
        control.settimeout(None)
        for stream in streams:
            stream.settimeout(None)
        threading.Thread(target=self._attend, name="moola-session", daemon=True).start()

    def _attend(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                kind, body = _receive(self._control)
                if kind == EXIT and len(body) == 8:
                    self.exit_status = int.from_bytes(body[4:], "big")
                    self.status_event.set()
        self._ended = True
        self.status_event.set()

    @property
    def eof_received(self) -> bool:
        """Whether the end of stdout is the command's, and not the connection's."""
        return self.exit_status >= 0 or (self._ended and not self._is_lost())

    def settimeout(self, timeout_s: float | None) -> None:
        """Limit `recv`."""
        self._stdout.settimeout(timeout_s)

    def gettimeout(self) -> float | None:
        """Return the limit of `recv`."""
        return self._stdout.gettimeout()

    def recv(self, n: int) -> bytes:
        """Return what has come on stdout; empty at its end."""
        return self._stdout.recv(n)

    def recv_stderr(self, n: int) -> bytes:
        """Return what has come on stderr; empty at its end."""
        return self._others[0].recv(n)

    def sendall(self, data: bytes) -> None:
        """Send all of `data` to stdin."""
        self._stdin.sendall(data)

    def shutdown_write(self) -> None:
        """End stdin."""
        self._stdin.shutdown(socket.SHUT_WR)

    def recv_exit_status(self) -> int:
        """Wait for the exit code; -1 where none comes."""
        self.status_event.wait()
        return self.exit_status

    def close(self) -> None:
        """Let go of the command; who waits for one of its streams is woken."""
        self.is_closed = True
        for end in (self._control, self._stdin, self._stdout, *self._others):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
