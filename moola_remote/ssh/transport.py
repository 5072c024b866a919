"""The seam between moola_remote and a pod: commands, channels and transfers over one connection.

paramiko, sockets and rsync's process are behind it (ssh_transport.py, rsync/tunnel.py). A
connection that is lost, or a pod that stops answering, is always an `UnreachableError`: it says
nothing of the job.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

# Bytes sent or received so far; called a few times a second.
Progress = Callable[[int], None]
# The most that a command may print; nothing that we ask for comes near.
MAX_OUTPUT = 64 * 2**20


@dataclass(frozen=True)
class Completed:
    """How a command on the pod ended; `returncode` is -1 where a signal ended it."""

    returncode: int
    stdout: bytes
    stderr: bytes


class Channel(Protocol):
    """A command that runs on the pod; one thread may read while another writes."""

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
        """End the command's stdin."""
        ...

    def close(self) -> None:
        """Let go of the command; whether it ends is its own matter."""
        ...

    def returncode(self, timeout_s: float | None = None) -> int:
        """Return the exit code, once stdout has ended; -1 where a signal ended it. Waits for it.

        Raises:
            UnreachableError: none came within `timeout_s`, or the connection was lost before.
        """
        ...

    def stderr(self) -> bytes:
        """Return what came on stderr so far, its last 64 KiB."""
        ...


class Transport(Protocol):
    """A connection to a pod. Safe for several threads."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Run a command to its end, through the far ``sh``; any exit code is a result.

        Raises:
            UnreachableError: it did not end within `timeout_s`, or the connection was lost.
            TransferError: it printed more than `MAX_OUTPUT`.
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
        link_dests: Sequence[PurePosixPath] = (),
        compare_content: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """Bring a folder's content to the pod's folder `dest`, which is made if need be.

        Args:
            source: a folder here.
            dest: a folder on the pod.
            files: paths below `source`, POSIX; None sends everything.
            link_dests: folders on the pod; their equal files are linked, not sent; 20 at most.
            compare_content: read both sides; equal size and time may hide a change.
            progress: called with the bytes so far.

        Returns:
            Bytes of file content that went over the line.

        Raises:
            LimitError: the pod's disk is full.
            TransferError: a file is missing, or rsync failed otherwise.
            UnreachableError: the connection was lost, or rsync is missing on the pod.
        """
        ...

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
        """Bring files of the pod's folder `source` into `dest`.

        Only regular files come, as mode 600. What has arrived is not sent again. Only the caps hold
        against a hostile pod: verify what came.

        Args:
            source: a folder on the pod.
            dest: a folder here that exists.
            files: paths below `source`.
            max_file: no single file grows above these bytes here.
            max_bytes: the transfer is stopped above these bytes in all.
            progress: called with the bytes so far.
            held: a descriptor that stays open for as long as anything here writes to `dest`.

        Returns:
            Bytes of file content that went over the line.

        Raises:
            LimitError: this machine's disk is full.
            TransferError: a file is missing, a cap was reached, or rsync failed otherwise.
            UnreachableError: the connection was lost, or rsync is missing on the pod.
        """
        ...

    def forward(
        self, target: tuple[str, int], *, port: int, say: Callable[[str], None]
    ) -> AbstractContextManager[int]:
        """Listen on this machine's loopback for as long as the context lasts; gives the port.

        Args:
            target: host and port as the pod sees them, where callers are connected to.
            port: of this machine; 0 takes any that is free.
            say: called with a line, once, when nothing answers at `target`.

        Raises:
            ConfigError: the port is taken, or this user may not listen on it.
        """
        ...

    def check(self) -> None:
        """Raise an UnreachableError if the connection is lost."""
        ...

    def close(self) -> None:
        """Close the connection; twice does no harm."""
        ...
