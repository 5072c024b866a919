"""One command of an SSH client: its process, and the pumps between its fds and the channel.

The bytes are pumped here and not by asyncssh's redirection, whose pipe writer drops the tail of a
congested stream. As under OpenSSH the channel stays open until the last holder of stdout and
stderr has closed it, a lost client closes the pipes and kills nothing, and a command leads its own
session.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import logging
import os
import pwd
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from moola_remote.providers.local.pty import Size, Terminal, make_controlling, set_size

BLOCK = 1 << 16
_KEPT = {"PATH", "TZ", "TMPDIR", "LANG"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """Whose the server is, and so every command."""

    name: str
    home: str
    shell: str

    @classmethod
    def of_process(cls) -> Account:
        """Return the account of this process; in a container it may have no entry."""
        home = os.environ.get("HOME")
        try:
            entry = pwd.getpwuid(os.getuid())
        except KeyError:
            return cls(str(os.getuid()), home or "/", "/bin/sh")
        return cls(entry.pw_name, home or entry.pw_dir, entry.pw_shell or "/bin/sh")


class Children:
    """The server's processes until they have ended, also those whose client has gone."""

    def __init__(self) -> None:
        self._running: dict[subprocess.Popen[bytes], Callable[[int], None]] = {}
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def watch(self, process: subprocess.Popen[bytes], ended: Callable[[int], None]) -> None:
        """Call `ended` with the return code once `process` has one."""
        self._running[process] = ended

    def _reap(self) -> None:
        for process in list(self._running):
            returncode = process.poll()
            if returncode is not None:
                self._running.pop(process)(returncode)


class Command:
    """A shell or a command line, from its start to its exit status."""

    def __init__(
        self,
        channel: asyncssh.SSHServerChannel[bytes],
        children: Children,
        terminal: Terminal | None,
    ) -> None:
        self._channel = channel
        self._children = children
        self._terminal = terminal
        self._loop = asyncio.get_running_loop()
        self._outputs: dict[io.FileIO, int | None] = {}
        self._input: io.FileIO | None = None
        self._unwritten = b""
        self._input_ended = False
        self._is_full = False  # the command doesn't read: we read no more of the client
        self._is_paused = False  # the client doesn't read: we read no more of the command
        self._process: subprocess.Popen[bytes] | None = None
        self._returncode: int | None = None

    def start(self) -> None:
        """Start the channel's command; where that fails, end it with the reason on stderr."""
        line = self._channel.get_command()
        try:
            self._process = self._spawn_in_terminal(line) if self._terminal else self._spawn(line)
        except OSError as err:
            _log.warning("not started: %s", err)
            self._close()
            self._channel.write_stderr(f"moola: {err}\n".encode())
            self._channel.exit(126)
            return
        _log.info("process %d: %.200s", self._process.pid, line or "login shell")
        self._children.watch(self._process, self._ended)
        self._listen()

    def feed(self, data: bytes) -> None:
        """Give the command's stdin what the client sent; once its reader is gone, drop it."""
        if self._input is None:
            return
        self._unwritten += data
        self._write()

    def feed_end(self) -> None:
        """Handle the end of the client's stdin; a terminal stays open, for it has no end."""
        self._input_ended = True
        if not self._unwritten and not self._terminal:
            self._close_input()

    def pause(self) -> None:
        """Stop reading, so that the command waits: the client can't take more."""
        self._is_paused = True
        for output in self._outputs:
            self._loop.remove_reader(output)

    def resume(self) -> None:
        """Read again: the client takes more."""
        self._is_paused = False
        self._listen()

    def signal(self, name: str) -> None:
        """Send a signal (its name without SIG) to the command's process group."""
        number = getattr(signal, f"SIG{name}", None)
        if self._process and self._returncode is None and isinstance(number, signal.Signals):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def resize(self, size: Size) -> None:
        """Pass on the new size of the client's window."""
        if self._terminal and self._input:
            set_size(self._input.fileno(), size)

    def hang_up(self) -> None:
        """Close our ends and kill nothing: the client has gone."""
        self._close()

    def _spawn(self, line: str | None) -> subprocess.Popen[bytes]:
        process = self._popen(line, None, subprocess.PIPE, subprocess.PIPE, subprocess.PIPE)
        # Without buffering, Popen's pipes are FileIO; the annotations don't know that.
        self._input, output, errors = (
            _unblocked(pipe) for pipe in (process.stdin, process.stdout, process.stderr)
        )
        self._outputs = {output: None, errors: asyncssh.EXTENDED_DATA_STDERR}
        return process

    def _spawn_in_terminal(self, line: str | None) -> subprocess.Popen[bytes]:
        assert self._terminal
        master, slave = os.openpty()
        self._input = _unblocked(io.FileIO(master, "r+"))
        self._outputs = {self._input: None}
        try:
            self._terminal.prepare(slave)
            return self._popen(line, os.ttyname(slave), slave, slave, slave)
        finally:
            os.close(slave)

    def _popen(self, line: str | None, tty: str | None, *standard: int) -> subprocess.Popen[bytes]:
        account = Account.of_process()
        # A leading dash makes a login shell.
        argv = [account.shell, "-c", line] if line is not None else [f"-{Path(account.shell).name}"]
        return subprocess.Popen(
            argv,
            executable=account.shell,
            bufsize=0,
            stdin=standard[0],
            stdout=standard[1],
            stderr=standard[2],
            cwd=account.home if Path(account.home).is_dir() else "/",
            env=_environment(self._channel, account, tty, self._terminal),
            start_new_session=True,
            # One ioctl, and the server's own thread is the only one that forks.
            preexec_fn=make_controlling if tty else None,  # noqa: PLW1509
        )

    def _listen(self) -> None:
        if not self._is_paused:
            for output in self._outputs:
                self._loop.add_reader(output, self._read, output)

    def _read(self, output: io.FileIO) -> None:
        try:
            data = output.read(BLOCK)
        except OSError as err:
            if err.errno != errno.EIO:
                raise
            data = b""  # Linux says EIO when a terminal has no more holders.
        if data is None:
            return
        if data and not self._channel.is_closing():
            self._channel.write(data, self._outputs[output])
            return
        self._loop.remove_reader(output)
        del self._outputs[output]
        if output is not self._input:
            output.close()
        # No EOF before the exit status: the client may close, and asyncssh would then send none.
        self._finish()

    def _write(self) -> None:
        assert self._input
        try:
            written = self._input.write(self._unwritten)
        except OSError:  # EPIPE, or EIO of a terminal: the command has closed its stdin, as it may.
            written = len(self._unwritten)
            self._input_ended = True
        self._unwritten = self._unwritten[written or 0 :]
        if self._unwritten:
            self._is_full = True
            self._channel.pause_reading()
            self._loop.add_writer(self._input, self._write)
            return
        self._loop.remove_writer(self._input)
        if self._input_ended and not self._terminal:
            self._close_input()
        if self._is_full:
            self._is_full = False
            self._channel.resume_reading()

    def _close_input(self) -> None:
        if self._input:
            self._loop.remove_writer(self._input)
            self._input.close()
            self._input = None

    def _ended(self, returncode: int) -> None:
        self._returncode = returncode
        self._finish()

    def _finish(self) -> None:
        if self._outputs or self._returncode is None:
            return
        self._close()
        # As OpenSSH does: by this a client knows the end of the output from a lost connection.
        self._channel.write_eof()
        if self._returncode >= 0:
            self._channel.exit(self._returncode)
            return
        try:
            self._channel.exit_with_signal(
                signal.Signals(-self._returncode).name.removeprefix("SIG")
            )
        except ValueError:  # a real-time signal has no name
            self._channel.exit(128 - self._returncode)

    def _close(self) -> None:
        for output in self._outputs:
            self._loop.remove_reader(output)
        self._close_input()
        for output in self._outputs:
            output.close()
        self._outputs = {}


def _environment(
    channel: asyncssh.SSHServerChannel[bytes],
    account: Account,
    tty: str | None,
    terminal: Terminal | None,
) -> dict[str, str]:
    # Little of the server's own: it may hold secrets of the shell that called `up`.
    kept = {
        name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")
    }
    sent = channel.get_environment().items()
    locale = {name: value for name, value in sent if name == "LANG" or name.startswith("LC_")}
    peer, here = channel.get_extra_info("peername"), channel.get_extra_info("sockname")
    return {
        "PATH": os.defpath,
        **kept,
        **locale,
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell,
        # Without SSH_CLIENT, which makes Debian's bash read .bashrc before each command line.
        "SSH_CONNECTION": f"{peer[0]} {peer[1]} {here[0]} {here[1]}",
        **({"SSH_TTY": tty, "TERM": terminal.kind} if tty and terminal else {}),
    }


def _unblocked(pipe: Any) -> io.FileIO:
    assert isinstance(pipe, io.FileIO)
    os.set_blocking(pipe.fileno(), False)
    return pipe
