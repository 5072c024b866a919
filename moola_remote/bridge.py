"""Runs rsync over a connection that is open already.

rsync's ``-e`` is rsh.py: over a private unix socket it hands us its stdin, stdout and stderr, and
we copy them from and to a channel of the pod's connection. One connection, one authentication, one
check of the host key for everything, and no new ssh for each transfer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from moola_remote import rsync
from moola_remote.errors import MoolaError, TransferError

if TYPE_CHECKING:
    import paramiko

RSH = rsync.rsh_option([sys.executable, "-I", "-S", str(Path(__file__).with_name("rsh.py"))])
BLOCK = 1 << 16
STDERR_KEPT = 1 << 16
SOCKET_PATH_MAX = 100  # macOS has 104, Linux 108

Start = Callable[[str], "paramiko.Channel"]


@cache
def local_version() -> tuple[int, ...] | None:
    """The version of this machine's rsync; None if it is missing."""
    if shutil.which("rsync") is None:
        return None
    shown = subprocess.run(["rsync", "--version"], capture_output=True, text=True, check=False)
    return rsync.parse_version(shown.stdout)


@contextlib.contextmanager
def listening(start: Start) -> Iterator[Path]:
    """A private unix socket on which rsh.py asks for channels.

    Args:
        start: opens a channel on which a command runs.
    """
    folder = Path(tempfile.mkdtemp(prefix="moola-"))  # 0700
    if len(str(folder)) > SOCKET_PATH_MAX - len("/rsh"):
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="moola-", dir="/tmp"))
    path = folder / "rsh"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(path))
            listener.listen()
            threading.Thread(target=_accept, args=(listener, start), daemon=True).start()
            yield path
        finally:
            # Closing alone does not wake the thread that accepts.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            path.unlink(missing_ok=True)
            folder.rmdir()


def _accept(listener: socket.socket, start: Start) -> None:
    while True:
        try:
            conn, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(conn, start), daemon=True).start()


def _serve(conn: socket.socket, start: Start) -> None:
    """One command: its streams are copied until it ends, then its exit code is told."""
    with conn:
        received = _receive(conn)
        if received is None:
            return
        command, (stdin, stdout, stderr) = received
        with (
            os.fdopen(stderr, "wb", buffering=0) as told,
            os.fdopen(stdout, "wb", buffering=0) as out,
        ):
            os.set_blocking(out.fileno(), True)
            try:
                channel = start(command)
            except MoolaError as err:
                os.close(stdin)
                with contextlib.suppress(OSError):
                    told.write(f"{err.message}\n".encode())
                return
            code = _pump(conn, channel, stdin, out.fileno(), told.fileno())
        with contextlib.suppress(OSError):
            conn.sendall(b"%d" % code)


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


def _pump(
    conn: socket.socket, channel: paramiko.Channel, stdin: int, stdout: int, stderr: int
) -> int:
    threads = [
        threading.Thread(target=_feed, args=(stdin, channel), daemon=True),
        threading.Thread(target=_close_with, args=(conn, channel), daemon=True),
        threading.Thread(target=_copy, args=(channel.recv_stderr, stderr), daemon=True),
    ]
    for thread in threads:
        thread.start()
    if not _copy(channel.recv, stdout):
        channel.close()  # rsync is gone: the far side must not write for nobody
    threads[-1].join()
    code = channel.recv_exit_status()
    channel.close()
    return code if code >= 0 else 255


def _feed(stdin: int, channel: paramiko.Channel) -> None:
    os.set_blocking(stdin, True)
    with os.fdopen(stdin, "rb", buffering=0) as source, contextlib.suppress(OSError, EOFError):
        while data := source.read(BLOCK):
            channel.sendall(data)
        channel.shutdown_write()


def _close_with(conn: socket.socket, channel: paramiko.Channel) -> None:
    """rsh.py says nothing more: the end of its stream is its death, or ours."""
    with contextlib.suppress(OSError):
        conn.recv(1)
    channel.close()


def _copy(read: Callable[[int], bytes], fd: int) -> bool:
    """Everything from `read` to `fd`; False when nobody reads there any more."""
    # EOFError is paramiko's, when the connection goes; rsync's end is a pipe or a socket.
    with contextlib.suppress(ConnectionError, EOFError):
        while data := read(BLOCK):
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        return True
    return False


class Rsync:
    """One rsync process over `start`.

    Args:
        start: opens a channel on which a command runs.
        where: the pod and the folder, for messages.
        progress: told the bytes so far.
        max_bytes: above these the process is ended.
    """

    def __init__(
        self,
        start: Start,
        where: str,
        *,
        progress: Callable[[int], None] | None = None,
        max_bytes: int | None = None,
    ) -> None:
        self._start = start
        self.where = where
        self._progress = progress
        self._max_bytes = max_bytes

    def run(self, argv: Sequence[str], names: bytes) -> tuple[int, int, bytes]:
        """Run it to its end.

        Args:
            argv: made with `RSH`.
            names: its stdin.

        Returns:
            Its exit code, the bytes of content that went over the line, and its stderr.

        Raises:
            TransferError: `max_bytes` were reached.
            ConfigError: this machine's rsync is missing or too old.
        """
        rsync.check_version(local_version())
        with listening(self._start) as path:
            environment = {**os.environ, "MOOLA_RSH": str(path), "LC_ALL": "C"}
            # Its own session: an interrupt is ours to handle.
            with subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            ) as process:
                return self._attend(process, names)

    def _attend(self, process: subprocess.Popen[bytes], names: bytes) -> tuple[int, int, bytes]:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        said = _Tail(process.stderr.fileno())
        feeder = threading.Thread(target=_write_all, args=(process.stdin, names), daemon=True)
        feeder.start()
        try:
            sent = self._follow(process.stdout.fileno())
            return process.wait(), sent, said.text()
        finally:
            _end(process)
            feeder.join()
            said.join()

    def _follow(self, stdout: int) -> int:
        sent = 0
        for line in _lines(stdout):
            done = rsync.parse_progress(line)
            if done is not None:
                self._note(done)
            sent = rsync.parse_sent(line) or sent
        return sent

    def _note(self, done: int) -> None:
        if self._max_bytes is not None and done > self._max_bytes:
            raise TransferError(
                f"{self.where}: the pod sends more than the {self._max_bytes} bytes it announced"
            )
        if self._progress:
            self._progress(done)


class _Tail(threading.Thread):
    """Reads a stream to its end and keeps the last of it."""

    def __init__(self, fd: int) -> None:
        super().__init__(daemon=True)
        self._fd = fd
        self._kept = b""
        self.start()

    def run(self) -> None:
        while data := os.read(self._fd, BLOCK):
            self._kept = (self._kept + data)[-STDERR_KEPT:]

    def text(self) -> bytes:
        self.join()
        return self._kept


def _lines(fd: int) -> Iterator[bytes]:
    """Lines that end with CR or LF, as they come."""
    rest = b""
    while data := os.read(fd, BLOCK):
        *whole, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
        rest = rest[-BLOCK:]
        yield from whole


def _write_all(stream: IO[bytes], data: bytes) -> None:
    # rsync may end without reading all of it; its exit code says why.
    with contextlib.suppress(BrokenPipeError), stream:
        stream.write(data)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End rsync and its rsh.py, if they are still there."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
