"""Commands that survive the pod's login shell, whatever it is and whatever its rc files print.

sshd gives a command to the user's login shell, which may be fish or tcsh and read other quotes, and
whose rc file may greet. So the shell is given one word list of harmless characters, which makes it
become ``/bin/sh``; that writes a mark to stdout and stderr, then runs the command. What comes
before the mark is the shell's; nothing of it can come after. On stdin the mark comes first as well:
where it does not, an rc file has read our input, and the command is not run at all.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import threading
from collections.abc import Sequence
from typing import Any

from moola_remote.errors import UnreachableError
from moola_remote.ssh.transport import Completed
from moola_remote.text.sanitize import safe

# What an rc file may print before it counts as one that never ends.
MAX_GREETING = 16 << 20
GREETING_KEPT = 1 << 12
# How long a shell may take that gets its input only when it has come to our command.
SHELL_PATIENCE_S = 30.0
LAST_WORDS_S = 0.5
# Each silences its own shell.
RC_FILES = "~/.bashrc, ~/.zshenv, ~/.cshrc, ~/.config/fish/config.fish"
# A PYTHONHOME that is not there, from an rc file, would keep every Python of the pod from starting.
_SCRIPT = '[ -d "${PYTHONHOME-/}" ] || unset PYTHONHOME; printf %s "$2$1" >&2; printf %s "$1$2"; '
# An rc file, or a server without one, may leave a PATH in which not even sh is found.
_SCRIPT += '[ "${PATH-}" ] && command -v sh >/dev/null || '
_SCRIPT += 'PATH="${PATH-}${PATH:+:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"; '
_SCRIPT += "export PATH; "
_SCRIPT += 'IFS= read -r l; [ "$l" = "$1$2" ] || { printf %seaten "$1$2" >&2; exit 97; }; eval '
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
    # Whole, it would be found where the shell shows each command (set -x, set echo).
    first, second = _halves(mark)
    return f"exec /bin/sh -c '{_SCRIPT}{end}' '{word}' {first} {second}"


def _halves(mark: str) -> tuple[str, str]:
    """Return both parts of a mark; the other way round they are that of stderr.

    An rc file may lead stderr to stdout (exec 2>&1), where the marks must not be mixed up.
    """
    half = len(mark) // 2
    return mark[:half], mark[half:]


def exec_line(argv: Sequence[str]) -> str:
    """Return a command line whose shell becomes `argv`, so that its end is the shell's."""
    return f"exec {shlex.join(argv)}"


class ShellError(UnreachableError):
    """The login shell of the pod did not come to our command."""


def is_eaten(done: Completed, mark: str) -> bool:
    """Return whether the command did not run since the login shell has read its input."""
    said = f"{mark}eaten".encode()
    return done.returncode == 97 and (done.stdout + done.stderr).endswith(said)


class _Greeting:
    """What a shell prints before the mark: counted, and its end kept."""

    def __init__(self, mark: bytes) -> None:
        self.mark = mark
        self.end = b""
        self.size = 0

    def add(self, data: bytes) -> bytes | None:
        """Take what has come; return what stands behind the mark, or None before it."""
        self.size += len(data)
        before, found, rest = (self.end + data).partition(self.mark)
        if found:
            return rest
        self.end = before[-GREETING_KEPT:]
        return None


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
        self._mark = mark
        self._greeting: _Greeting | None = _Greeting(mark.encode())
        first, second = _halves(mark)
        self._errors: _Greeting | None = _Greeting(f"{second}{first}".encode())
        self._ready = b""
        self._shell_errors = b""
        self._errors_ended = threading.Event()

    def begin(self, *, wait: bool = False) -> None:
        """Send the mark, which the command's input begins with.

        Args:
            wait: for the shell to come to our command: its rc file reads what it finds.

        Raises:
            ShellError: it does not come there in time.
        """
        if wait:
            self._channel.settimeout(SHELL_PATIENCE_S)
            try:
                self._ready = self._after_greeting(GREETING_KEPT)
            except TimeoutError as err:
                raise ShellError(
                    f"{self._where}: the login shell waits for input before our command",
                    f"take away what reads there (read, cat): {RC_FILES}",
                ) from err
            self._channel.settimeout(None)
        with contextlib.suppress(OSError, EOFError):  # it has ended; whoever reads sees why
            self._channel.sendall(f"{self._mark}\n".encode())

    def recv(self, n: int) -> bytes:
        """As a channel's; a timeout keeps what has come so far.

        Raises:
            ShellError: the shell ended, or printed too much, before the command began.
        """
        if self._greeting is not None:
            self._ready = self._after_greeting(n)
        if self._ready:
            data, self._ready = self._ready[:n], self._ready[n:]
            return data
        return bytes(self._channel.recv(n))

    def _after_greeting(self, n: int) -> bytes:
        """Return the first bytes behind the mark; none may have come yet."""
        while self._greeting is not None:
            data = self._channel.recv(max(n, 4096))
            rest = self._greeting.add(data)
            if rest is not None:
                self._greeting = None
                return rest
            if not data or self._greeting.size > MAX_GREETING:
                raise self._no_mark(self._greeting)
        return b""

    def recv_stderr(self, n: int) -> bytes:
        """As a channel's; what the shell said before the command is its last resort as a reason."""
        while self._errors is not None:
            data = self._channel.recv_stderr(n)
            rest = self._errors.add(data)
            if rest is not None:
                self._errors = None
                if rest:
                    return rest
            elif not data or self._errors.size > MAX_GREETING:
                self._shell_errors, self._errors = self._errors.end, None
                self._errors_ended.set()
                return bytes(data)
        return bytes(self._channel.recv_stderr(n))

    def _no_mark(self, greeting: _Greeting) -> ShellError:
        if greeting.size > MAX_GREETING:
            return ShellError(
                f"{self._where}: the login shell prints without end before our command",
                f"silence its rc file there: {RC_FILES}",
            )
        # Another thread reads stderr, and may not have come to its end.
        self._errors_ended.wait(LAST_WORDS_S)
        errors = self._errors.end if self._errors else self._shell_errors
        said = (greeting.end + errors).decode("utf-8", "replace")
        lines = [line for line in said.splitlines() if line.strip()]
        words = f"it said {safe(lines[-1].strip(), 200)!r}" if lines else "it said nothing"
        return ShellError(
            f"{self._where}: the login shell ended before our command ran, {words}",
            f"look there for exit, exec or a missing shell in the rc file: {RC_FILES}; for "
            "ForceCommand in sshd_config or command= in authorized_keys; or give this user another "
            "login shell (chsh)",
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)
