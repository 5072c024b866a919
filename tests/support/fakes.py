"""A pod at the `Transport` seam: this machine, through a real ``sh``, without a network."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from moola_remote.errors import UnreachableError
from moola_remote.ssh.transport import Completed, Progress
from tests.support.lanes import HANGS_S


class ShellTransport:
    """Commands run here, as the far ``sh`` would run them.

    Attributes:
        commands: every command line so far: the round trips.
        cut_after: the next channel is lost after so many bytes of its stdout; None is never.
    """

    def __init__(self, cwd: Path) -> None:
        self.cwd = cwd
        self.commands: list[list[str]] = []
        self.cut_after: int | None = None
        self.is_closed = False

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """See `Transport.run`."""
        self.commands.append(list(argv))
        done = subprocess.run(
            ["sh", "-c", shlex.join(argv)],
            cwd=self.cwd,
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Completed(max(done.returncode, -1), done.stdout, done.stderr)

    def open(self, argv: Sequence[str]) -> ShellChannel:
        """See `Transport.open`."""
        self.commands.append(list(argv))
        return ShellChannel(shlex.join(argv), self.cwd, self.cut_after)

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
        """Trees are copied by the tests that need some."""
        raise NotImplementedError

    def pull(self, source: PurePosixPath, dest: Path, **_: Any) -> int:
        """Nothing is fetched here."""
        raise NotImplementedError

    def forward(self, target: tuple[str, int], **_: Any) -> Any:
        """No port is forwarded here: it is this machine's."""
        return contextlib.nullcontext(target[1])

    def check(self) -> None:
        """It is never lost."""

    def close(self) -> None:
        """See `Transport.close`."""
        self.is_closed = True


class ShellChannel:
    """A command with pipes; `close` takes the pipes away, as sshd does when a client is gone."""

    def __init__(self, command: str, cwd: Path, cut_after: int | None) -> None:
        self._errors = cwd / f".stderr-{time.monotonic_ns()}"
        with self._errors.open("wb") as errors:
            self.child = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        self._left = cut_after

    def read(self, n: int, timeout_s: float | None = None) -> bytes:
        """See `Channel.read`; a cut comes in the middle of whatever is there."""
        assert self.child.stdout is not None
        if self._left is not None:
            n = min(n, self._left)
            if n == 0:
                raise UnreachableError("fake: connection lost")
        if not select.select([self.child.stdout], [], [], timeout_s)[0]:
            raise UnreachableError("fake: no answer")
        data = os.read(self.child.stdout.fileno(), n)
        if self._left is not None:
            self._left -= len(data)
        return data

    def write(self, data: bytes) -> None:
        """See `Channel.write`."""
        assert self.child.stdin is not None
        try:
            self.child.stdin.write(data)
            self.child.stdin.flush()
        except BrokenPipeError as err:
            raise UnreachableError("fake: the command reads no more") from err

    def close_stdin(self) -> None:
        """See `Channel.close_stdin`."""
        assert self.child.stdin is not None
        self.child.stdin.close()

    def returncode(self, timeout_s: float | None = None) -> int:
        """See `Channel.returncode`."""
        return max(self.child.wait(timeout_s), -1)

    def stderr(self) -> bytes:
        """See `Channel.stderr`."""
        return self._errors.read_bytes()

    def close(self) -> None:
        """See `Channel.close`; the command must then end by itself."""
        for pipe in (self.child.stdin, self.child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.child.wait(HANGS_S)
        self._errors.unlink(missing_ok=True)
