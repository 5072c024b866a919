"""An rsync process on the laptop, and the failure it reports."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO

from moola_remote.errors import TransferError, UnreachableError
from moola_remote.rsync import argv, output, version
from moola_remote.rsync.tunnel import BLOCK, RshTunnel, Start

STDERR_KEPT = 1 << 16
TICK_S = 1.0
# rsync prints a line a file; to be woken by each costs more than the file.
LINES_S = 0.02
# What goes over the line beside the content: the list of files, and rsync's own framing.
LISTING_MAX = 1 << 26
# How long the pod's last words may take once rsync itself is gone.
LAST_WORDS_S = 2.0


class Rsync:
    """One rsync process over `start`.

    Args:
        start: opens a channel on which a command runs.
        where: the pod and the folder, for messages.
        progress: called with the bytes so far.
        max_bytes: above these the process is ended. Those of earlier runs count.
        held: a descriptor that the process keeps open.
    """

    def __init__(
        self,
        start: Start,
        where: str,
        *,
        progress: Callable[[int], None] | None = None,
        max_bytes: int | None = None,
        held: int | None = None,
    ) -> None:
        self._start = start
        self.where = where
        self._progress = progress
        self._max_bytes = max_bytes
        self._held = () if held is None else (held,)
        # Of earlier runs: bytes as rsync reports them, and all that the pod has sent.
        self._before = self._done = self._received = 0

    def run(self, argv: Sequence[str], names: bytes) -> tuple[int, int, bytes]:
        """Run it to its end.

        Args:
            argv: made with `RSH`.
            names: its stdin.

        Returns:
            Its exit code, the bytes of content that went over the line, and its stderr.

        Raises:
            TransferError: `max_bytes` were reached.
            UnreachableError: nothing went over the line for `rsync.STALL_S`.
            ConfigError: this machine's rsync is missing or too old.
        """
        version.check_version(version.local_version())
        self._before = self._done
        with RshTunnel(self._start) as tunnel:
            # RSYNC_ICONV and the like are for the user's own command lines.
            kept = {key: one for key, one in os.environ.items() if not key.startswith("RSYNC_")}
            environment = {**kept, "MOOLA_RSH": str(tunnel.path), "LC_ALL": "C"}
            # Its own session: an interrupt is ours to handle.
            with subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
                pass_fds=self._held,
            ) as process:
                return self._attend(process, names, tunnel)

    def _attend(
        self, process: subprocess.Popen[bytes], names: bytes, tunnel: RshTunnel
    ) -> tuple[int, int, bytes]:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        said = _Tail(process.stderr.fileno())
        feeder = threading.Thread(target=_write_all, args=(process.stdin, names), daemon=True)
        feeder.start()
        try:
            sent = self._follow(process.stdout.fileno(), tunnel)
            code = process.wait()
        finally:
            _end(process)
            tunnel.finish(LAST_WORDS_S)
            self._received += tunnel.num_received
            feeder.join()
            said.join()
        return code, sent, said.kept

    def _follow(self, stdout: int, tunnel: RshTunnel) -> int:
        sent = 0
        for line in _lines(stdout):
            # rsync's own timeout does not hold once it has nothing left to do but to wait.
            if time.monotonic() - tunnel.heard_at > argv.STALL_S + TICK_S:
                raise UnreachableError(f"{self.where}: no data for {argv.STALL_S} s", output.AGAIN)
            # Counted here, whatever rsync says of it or is made to say.
            received = self._received + tunnel.num_received
            self._check(received * 63 // 64 - LISTING_MAX)
            done = output.parse_progress(line)
            if done is not None:
                self._note(self._before + done)
            sent = output.parse_sent(line) or sent
        return sent

    def _check(self, done: int) -> None:
        if self._max_bytes is not None and done > self._max_bytes:
            raise TransferError(
                f"{self.where}: the pod sends more than the {self._max_bytes} bytes it announced"
            )

    def _note(self, done: int) -> None:
        self._check(done)
        self._done = done
        if self._progress:
            self._progress(done)


class _Tail(threading.Thread):
    """Reads a stream to its end and keeps the last of it."""

    def __init__(self, fd: int) -> None:
        super().__init__(daemon=True)
        self._fd = fd
        self.kept = b""
        self.start()

    def run(self) -> None:
        while data := os.read(self._fd, BLOCK):
            self.kept = (self.kept + data)[-STDERR_KEPT:]


def _lines(fd: int) -> Iterator[bytes]:
    """Lines that end with CR or LF, as they come; an empty one now and then where none come."""
    rest, read_at = b"", 0.0
    while True:
        time.sleep(max(0.0, read_at + LINES_S - time.monotonic()))
        if not select.select([fd], [], [], TICK_S)[0]:
            yield b""
            continue
        data, read_at = os.read(fd, BLOCK), time.monotonic()
        if not data:
            return
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
