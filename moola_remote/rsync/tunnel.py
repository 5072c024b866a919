"""Runs rsync over a connection that is open already.

rsync's ``-e`` is rsh.py: over a private unix socket it hands us its stdin, stdout and stderr, and
we copy them from and to a channel of the pod's connection. One connection, one authentication, one
check of the host key for everything, and no new ssh for each transfer.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moola_remote.errors import MoolaError
from moola_remote.rsync import argv

logger = logging.getLogger(__name__)
RSH = argv.rsh_option([sys.executable, "-I", "-S", str(Path(__file__).with_name("rsh.py"))])
BLOCK = 1 << 16
SOCKET_PATH_MAX = 100  # macOS has 104, Linux 108
# A channel of paramiko's, or what has its methods.
Start = Callable[[str], Any]


class RshTunnel:
    """A private unix socket on which rsh.py asks for commands on the pod; a context manager.

    Args:
        start: opens a channel on which a command runs.

    Attributes:
        path: of the socket.
        heard_at: when bytes went through last, of the monotonic clock.
        num_received: bytes of the pod's stdout so far.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self.heard_at = time.monotonic()
        self.num_received = 0
        self._folder = Path(tempfile.mkdtemp(prefix="moola-"))  # 0700
        if len(str(self._folder)) > SOCKET_PATH_MAX - len("/rsh"):
            self._folder.rmdir()
            self._folder = Path(tempfile.mkdtemp(prefix="moola-", dir="/tmp"))
        self.path = self._folder / "rsh"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._served: list[tuple[socket.socket, threading.Thread]] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> RshTunnel:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # closing alone does not wake who accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        self.finish(0.0)
        self.path.unlink(missing_ok=True)
        self._folder.rmdir()

    def finish(self, patience_s: float) -> None:
        """Let the commands come to their end, and cut off those that do not.

        rsync may be gone before the pod's last words are here; or the pod may hold a channel open
        for ever, for whatever reason of its own.
        """
        deadline = time.monotonic() + patience_s
        for conn, thread in self._served:
            thread.join(max(deadline - time.monotonic(), 0.0))
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)
            thread.join()
        self._served.clear()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(conn,), daemon=True)
            self._served.append((conn, thread))
            thread.start()

    def _serve(self, conn: socket.socket) -> None:
        """Serve one command: copy its streams until it ends, then send its exit code."""
        with conn:
            received = _receive(conn)
            if received is None:
                return
            command, (stdin, stdout, stderr) = received
            with _owned(stdout) as out, _owned(stderr) as err_out:
                try:
                    channel = self._start(command)
                except MoolaError as err:
                    os.close(stdin)
                    with contextlib.suppress(OSError):
                        err_out.write(f"{err.message}\n".encode())
                    return
                self._spawn(self._feed, stdin, channel)
                self._spawn(_close_with, conn, channel)
                errors = self._spawn(self._copy, channel.recv_stderr, err_out)
                if not self._copy(self._counted(channel.recv), out):
                    _close(channel)  # rsync is gone: the far side must not write to a closed pipe
                errors.join()
            code = channel.recv_exit_status()
            _close(channel)
            with contextlib.suppress(OSError):
                conn.sendall(b"%d" % (code if code >= 0 else 255))

    def _spawn(self, target: Callable[..., object], *args: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        return thread

    def _feed(self, stdin: int, channel: Any) -> None:
        with _owned(stdin) as source, contextlib.suppress(OSError, EOFError):
            while data := source.read(BLOCK):
                channel.sendall(data)
                self.heard_at = time.monotonic()
            channel.shutdown_write()

    def _counted(self, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
        def count(n: int) -> bytes:
            data = read(n)
            self.num_received += len(data)
            return data

        return count

    def _copy(self, read: Callable[[int], bytes], file: io.FileIO) -> bool:
        """Everything from `read` to `file`; False when its reader is gone."""
        # EOFError: the connection went; MoolaError: the shell did not come to our command.
        with contextlib.suppress(OSError, EOFError, MoolaError):
            while data := read(BLOCK):
                self.heard_at = time.monotonic()
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
            return True
        return False


def _owned(fd: int) -> io.FileIO:
    """Return a file that rsync gave away: raw, blocking, closed with its block."""
    os.set_blocking(fd, True)
    return io.FileIO(fd, "r+")


def _receive(conn: socket.socket) -> tuple[str, list[int]] | None:
    message, fds, _, _ = socket.recv_fds(conn, 1 << 16, 3)
    while message and not message.endswith(b"\0"):
        more = conn.recv(1 << 16)
        if not more:
            break
        message += more
    if len(fds) == 3 and message.endswith(b"\0"):
        return os.fsdecode(message[:-1]), fds
    for fd in fds:
        os.close(fd)
    return None


def _close_with(conn: socket.socket, channel: Any) -> None:
    """rsh.py says nothing more: the end of its stream is its death, or ours."""
    with contextlib.suppress(OSError):
        conn.recv(1)
    _close(channel)


def _close(channel: Any) -> None:
    with contextlib.suppress(OSError, EOFError):  # the connection is going, and the channel with it
        channel.close()
