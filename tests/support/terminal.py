"""A program on a terminal of its own: where to type, and what it shows."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.lanes import HANGS_S
from tests.support.pods import wait_until


@dataclass(frozen=True)
class Terminal:
    """Our end of it, all that was written so far, and the program."""

    descriptor: int
    written: bytearray
    program: subprocess.Popen[bytes]

    def resize(self, width: int, height: int) -> None:
        """As when somebody drags the window."""
        _resize(self.descriptor, width, height)

    def type(self, text: str) -> None:
        """As on its keyboard."""
        os.write(self.descriptor, text.encode())

    def wait_for(self, *parts: bytes, since: int = 0) -> None:
        """Until one of them was written behind the first `since` bytes."""
        wait_until(lambda: any(part in self.written[since:] for part in parts))


@contextmanager
def on_terminal(
    argv: Sequence[str | Path], env: Mapping[str, str], folder: Path | None = None
) -> Iterator[Terminal]:
    """Start it on 80 by 24; killed at the end if need be."""
    ours, theirs = pty.openpty()
    _resize(ours, 80, 24)
    program = subprocess.Popen(
        argv, 0, None, theirs, theirs, theirs, env=env, cwd=folder, start_new_session=True
    )
    os.close(theirs)
    terminal = Terminal(ours, bytearray(), program)
    reader = threading.Thread(target=_read_to_end, args=(terminal,))
    reader.start()
    try:
        yield terminal
    finally:
        program.kill()
        program.wait()
        reader.join(timeout=HANGS_S)
        os.close(ours)


def _resize(terminal: int, width: int, height: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))


def _read_to_end(terminal: Terminal) -> None:
    while True:
        try:
            data = os.read(terminal.descriptor, 65536)
        except OSError:  # Linux: the other end is closed
            return
        if not data:
            return
        terminal.written.extend(data)
