"""Commands that survive the pod's login shell, whatever it is and whatever its rc files print.

sshd gives a command to the user's login shell, which may be fish or tcsh and read other quotes, and
whose rc file may greet. So the shell is given one word list of harmless characters, which makes it
become ``/bin/sh``; that writes a mark to stdout and stderr, then runs the command. What comes
before the mark is the shell's; nothing of it can come after.
"""

from __future__ import annotations

import re
import secrets
import shlex
import threading
from collections.abc import Sequence
from typing import Any

from moola_remote.errors import UnreachableError
from moola_remote.text.sanitize import safe

# What an rc file may print before it counts as one that never ends.
MAX_GREETING = 1 << 20
STDERR_KEPT = 1 << 16
LAST_WORDS_S = 0.5
# Each silences its own shell.
RC_FILES = "~/.bashrc, ~/.zshenv, ~/.cshrc, ~/.config/fish/config.fish"
# A PYTHONHOME that is not there, from an rc file, would keep every Python of the pod from starting.
_SCRIPT = '[ -d "${PYTHONHOME-/}" ] || unset PYTHONHOME; printf %s "$1"; printf %s "$1" >&2; eval '
_AS_IT_IS = '"$0"'
# A process more, for what every shell quotes in its own way.
_DECODED = '"$(printf %b "$0")"'
_PLAIN = re.compile(rb"[A-Za-z0-9_ ./:=,@+-]")


def make_mark() -> str:
    """Return a mark that no rc file prints."""
    return f"moola-{secrets.token_hex(8)}:"


def marked(command: str, mark: str) -> str:
    """Return what to ask sshd for, so that ``/bin/sh`` runs `command` after writing `mark`."""
    # Only characters that sh, fish and tcsh read alike within single quotes.
    data = command.encode("utf-8", "surrogateescape")
    word = "".join(chr(byte) if _PLAIN.match(bytes([byte])) else f"\\0{byte:03o}" for byte in data)
    end = _DECODED if "\\" in word else _AS_IT_IS
    return f"exec /bin/sh -c '{_SCRIPT}{end}' '{word}' {mark}"


def exec_line(argv: Sequence[str]) -> str:
    """Return a command line whose shell becomes `argv`, so that its end is the shell's."""
    return f"exec {shlex.join(argv)}"


class ShellError(UnreachableError):
    """The login shell of the pod did not come to our command."""


class MarkedChannel:
    """A paramiko channel whose stdout and stderr begin after the mark.

    Args:
        where: the pod, as errors name it.
        channel: on which a command of `marked` runs.
        mark: that of the command.
    """

    def __init__(self, where: str, channel: Any, mark: str) -> None:
        self._where = where
        self._channel = channel
        self._mark = mark.encode()
        self._pending: bytes | None = b""
        self._pending_errors: bytes | None = b""
        self._ready = b""
        self._shell_errors = b""
        self._errors_ended = threading.Event()

    def recv(self, n: int) -> bytes:
        """As a channel's; a timeout keeps what has come so far.

        Raises:
            ShellError: the shell ended, or printed too much, before the command began.
        """
        while self._pending is not None:
            data = self._channel.recv(max(n, 4096))
            self._pending += data
            _, found, rest = self._pending.partition(self._mark)
            if found:
                self._pending = None
                if rest:
                    return self._give(rest, n)
            elif not data or len(self._pending) > MAX_GREETING:
                raise self._no_mark()
        if self._ready:
            return self._give(self._ready, n)
        data = self._channel.recv(n)
        return bytes(data)

    def _give(self, data: bytes, n: int) -> bytes:
        self._ready = data[n:]
        return data[:n]

    def recv_stderr(self, n: int) -> bytes:
        """As a channel's; what the shell said before the command is its last resort as a reason."""
        while self._pending_errors is not None:
            data = self._channel.recv_stderr(n)
            self._pending_errors += data
            _, found, rest = self._pending_errors.partition(self._mark)
            if found:
                self._pending_errors = None
                if rest:
                    return bytes(rest)
            elif not data or len(self._pending_errors) > MAX_GREETING:
                said, self._pending_errors = self._pending_errors, None
                self._shell_errors = said[-STDERR_KEPT:]
                self._errors_ended.set()
                return b"" if not data else said
        return bytes(self._channel.recv_stderr(n))

    def _no_mark(self) -> ShellError:
        # Another thread reads stderr, and may not have come to its end.
        self._errors_ended.wait(LAST_WORDS_S)
        said = (self._pending or b"") + (self._pending_errors or self._shell_errors)
        lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
        words = f"it said {safe(lines[-1].strip(), 200)!r}" if lines else "it said nothing"
        if len(said) > MAX_GREETING:
            return ShellError(
                f"{self._where}: the login shell prints without end before our command",
                f"silence its rc file there: {RC_FILES}",
            )
        return ShellError(
            f"{self._where}: the login shell ended before our command ran, {words}",
            f"look there for exit, exec or a missing shell in the rc file: {RC_FILES}; or give "
            "this user another login shell (chsh)",
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)
