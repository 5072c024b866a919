"""`Transport` over one SSH connection: commands and transfers are channels on it."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from moola_remote.errors import (
    MoolaError,
    PartialTransferError,
    TransferError,
    UnreachableError,
)
from moola_remote.ssh.channel import BLOCK, SSHChannel
from moola_remote.ssh.link import LinkGoneError, SessionRefusedError
from moola_remote.ssh.liveness import SilenceError
from moola_remote.ssh.marks import MarkedChannel, exec_line, is_eaten, make_mark, marked
from moola_remote.ssh.transport import MAX_OUTPUT, Completed, Progress
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.rsync import process
    from moola_remote.ssh.link import Link
    from moola_remote.ssh.liveness import Vitals

logger = logging.getLogger(__name__)
Dial = Callable[[], "Link"]
# A server of `MaxSessions 1` may not have noticed yet that the last command has ended.
REFUSED_PAUSES_S = (0.0, 0.05, 0.2)
# rsync compares each name that it is sent with each that was asked for: for 10,000 at once that is
# seven times the rest of its work, and grows with the square.
FILES_A_PULL = 1000
# So many connections more for a server that allows one command at a time on each.
MAX_SPARE = 4


class SSHTransport:
    """`Transport` over one connection.

    Where the server allows fewer commands at a time on a connection (MaxSessions), others are made
    for the rest.

    Args:
        where: the pod, as errors name it.
        link: the connection.
        spare: makes a connection of our own beside it; None makes none.
        again: makes another in place of one that was gone before it was used; None makes none.
    """

    def __init__(
        self, where: str, link: Link, *, spare: Dial | None = None, again: Dial | None = None
    ) -> None:
        self._where = where
        self._link = link
        self._left: list[Link] = []
        self._dial = spare
        self._again = again
        self._spare: list[SSHTransport] = []
        self._spare_lock = threading.Lock()
        self._mark = make_mark()
        self._reads_input = False  # an rc file of the pod, so that ours is sent later

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """See `Transport.run`."""
        done = self._run(argv, stdin, timeout_s)
        if is_eaten(done, self._mark) and not self._reads_input:
            self._reads_input = True
            done = self._run(argv, stdin, timeout_s)
        return done

    def _run(self, argv: Sequence[str], stdin: bytes, timeout_s: float) -> Completed:
        deadline = time.monotonic() + timeout_s
        channel = self.open(argv)
        feeder = threading.Thread(target=channel.feed, args=(stdin,), daemon=True)
        feeder.start()
        try:
            stdout = bytearray()
            while part := channel.read(BLOCK, _left(deadline)):
                stdout += part
                if len(stdout) > MAX_OUTPUT:
                    raise TransferError(
                        f"{self._where}: {argv[0]} printed more than {MAX_OUTPUT} bytes"
                    )
            code = channel.returncode(_left(deadline))
            return Completed(code, bytes(stdout), channel.stderr())
        except SilenceError as err:
            raise UnreachableError(
                f"{self._where}: {argv[0]} did not end within {timeout_s:.0f} s"
            ) from err
        finally:
            channel.close()

    def open(self, argv: Sequence[str]) -> SSHChannel:
        """See `Transport.open`."""
        return SSHChannel(*self._start(exec_line(argv)))

    def start(self, command: str) -> MarkedChannel:
        """Return a channel on which `command` runs."""
        return self._start(command)[1]

    def _start(self, command: str) -> tuple[Vitals, MarkedChannel]:
        refusal = ""
        for pause_s in REFUSED_PAUSES_S:
            time.sleep(pause_s)
            link = self._link
            try:
                return self._start_here(command)
            except SessionRefusedError as err:
                refusal = safe(str(err))
            except LinkGoneError as err:
                if self._again is None:
                    raise self._failure(err) from err
                self._replace(link, self._again)
            except (OSError, EOFError) as err:
                raise self._failure(err) from err
        try:
            return self._start_elsewhere(command)
        except (SessionRefusedError, MoolaError) as err:
            raise UnreachableError(
                f"{self._where}: the pod starts no further command on this connection "
                f"({refusal}), nor on another: {safe(str(err), 200)}",
                "raise MaxSessions in its sshd_config",
            ) from err

    def _start_here(self, command: str) -> tuple[Vitals, MarkedChannel]:
        link = self._link
        channel = link.session(marked(command, self._mark))
        started = MarkedChannel(self._where, channel, self._mark)
        started.begin(wait=self._reads_input)
        return link.vitals, started

    def _replace(self, gone: Link, again: Dial) -> None:
        """Take another connection in place of `gone`, unless another thread has."""
        with self._spare_lock:
            if self._link is gone:
                logger.info("%s: the connection was gone; making another", self._where)
                self._link = again()
                self._left.append(gone)

    def _start_elsewhere(self, command: str) -> tuple[Vitals, MarkedChannel]:
        """Start it on one of the spare connections, or on a new one."""
        with self._spare_lock:
            for transport in self._spare:
                with contextlib.suppress(SessionRefusedError, OSError, EOFError):
                    return transport._start_here(command)
            if self._dial is None or len(self._spare) >= MAX_SPARE:
                raise UnreachableError(f"{len(self._spare) + 1} connections are in use already")
            logger.info("%s: one command at a time on a connection; opening another", self._where)
            transport = SSHTransport(self._where, self._dial())
            transport._mark, transport._reads_input = self._mark, self._reads_input
            self._spare.append(transport)
            return transport._start_here(command)

    def _failure(self, err: Exception) -> UnreachableError:
        vitals = self._link.vitals
        if vitals.is_lost():
            return vitals.lost()
        return UnreachableError(f"{self._where}: the pod starts no command, {safe(str(err))}")

    def push(
        self,
        source: Path,
        dest: PurePosixPath,
        *,
        files: Sequence[str] | None = None,
        link_dests: Sequence[PurePosixPath] = (),
        compare_content: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """See `Transport.push`."""
        from moola_remote.rsync import argv, process, tunnel

        words = argv.push_argv(
            source,
            dest,
            rsh=tunnel.RSH,
            from_list=files is not None,
            link_dests=link_dests,
            compare_content=compare_content,
        )
        job = process.Rsync(self.start, f"{self._where}:{dest}", progress=progress)
        return self._rsync(words, files or (), job)

    def pull(  # noqa: PLR0913 - caps, and what goes with them
        self,
        source: PurePosixPath,
        dest: Path,
        *,
        files: Sequence[str],
        max_file: int,
        max_bytes: int,
        progress: Progress | None = None,
        held: int | None = None,
    ) -> int:
        """See `Transport.pull`."""
        from moola_remote.rsync import argv, process, tunnel

        words = argv.pull_argv(source, dest, rsh=tunnel.RSH, max_file=max_file)
        where = f"{self._where}:{source}"
        job = process.Rsync(self.start, where, progress=progress, max_bytes=max_bytes, held=held)
        return _in_parts(lambda part: self._rsync(words, part, job, here=dest), files)

    def _rsync(
        self, argv: list[str], files: Sequence[str], job: process.Rsync, here: Path | None = None
    ) -> int:
        from moola_remote.rsync import output

        started = time.monotonic()
        code, sent, stderr = job.run(argv, _list_of(files))
        if code != 0:
            if self._link.vitals.is_lost():
                raise output.cut(self._link.vitals.lost())
            raise output.failure(job.where, code, stderr, here=here)
        logger.info("%s: %d bytes in %.0f ms", job.where, sent, 1000 * (time.monotonic() - started))
        return sent

    def forward(
        self, target: tuple[str, int], *, port: int, say: Callable[[str], None]
    ) -> AbstractContextManager[int]:
        """See `Transport.forward`."""
        from moola_remote.ssh.forward import forwarding

        return forwarding(self._link.channel_to, target, port=port, say=say)

    def check(self) -> None:
        """See `Transport.check`."""
        if not self._link.is_active():
            raise self._link.vitals.lost()

    def close(self) -> None:
        """See `Transport.close`."""
        for transport in self._spare:
            transport.close()
        for link in (*self._left, self._link):
            link.close()


def _list_of(files: Sequence[str]) -> bytes:
    # Without "./" rsync takes a name that begins with # or ; for a comment.
    return b"".join(b"./" + os.fsencode(name) + b"\0" for name in files)


def _in_parts(pull: Callable[[Sequence[str]], int], files: Sequence[str]) -> int:
    """Pull files in parts; one that can't be brought costs no other part.

    Raises:
        PartialTransferError: at the end, where that was so.
    """
    sent = 0
    partial: PartialTransferError | None = None
    for first in range(0, max(1, len(files)), FILES_A_PULL):
        try:
            sent += pull(files[first : first + FILES_A_PULL])
        except PartialTransferError as err:  # noqa: PERF203 - a process each
            partial = err
    if partial:
        raise partial
    return sent


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)
