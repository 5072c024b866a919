"""A program that has imported its modules already and forks once for each command.

A command is a process of its own, with its own words, environment, folder, pipes and exit code. It
saves the start of Python and the imports: most of what a short command costs. Tests of signals and
terminals start the program itself.

    python prefork.py client PROGRAM FD
    python -ISB prefork.py agent PYZ FD
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from contextlib import suppress
from pathlib import Path

TYPE_CHECKING = False  # the agent's side runs without what `typing` costs
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LENGTH = struct.Struct("!Q")
NUM_FDS = 4  # stdin, stdout, stderr, and where the pid and the exit code are reported
# Python reads these at its start only.
AT_START = ("PYTHON", "LANG", "LC_")
# What commands of the client import within functions.
OFTEN = (
    *("cryptography.hazmat.primitives.serialization", "httpx", "keyring.backends", "paramiko"),
    *("pathspec", "rich.progress", "rich.table", "rich.text", "yaml"),
)


class Prefork:
    """The side of the tests: starts the waiting program at its first use; it ends with us."""

    def __init__(self, *argv: object) -> None:
        self._argv = [str(word) for word in argv]
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        # As it is before any server marks what it starts, to end it.
        self._environment = dict(os.environ)
        self._env = _at_start(os.environ)

    def can_run(self, env: Mapping[str, str]) -> bool:
        """Return whether `env` leaves the start of Python as it is."""
        return _at_start(env) == self._env

    def run(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        stdin: bytes,
        cwd: Path,
        timeout_s: float,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command until it has ended and nobody holds its pipes, as `subprocess` does.

        Raises:
            subprocess.TimeoutExpired: after `timeout_s`; the command is killed.
        """
        deadline = time.monotonic() + timeout_s
        sys.audit("subprocess.Popen", self._argv[0], list(words), str(cwd), None)  # see lanes.py
        into, *outs = [os.pipe() for _ in range(NUM_FDS)]
        theirs = [into[0], *(write for _, write in outs)]
        try:
            asked = {"words": list(words), "env": dict(env), "cwd": str(cwd)}
            self._send(json.dumps(asked).encode(), theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        got: list[list[bytes]] = [[], [], []]
        threads = [threading.Thread(target=_write, args=(into[1], stdin), daemon=True)]
        for (fd, _), parts in zip(outs, got, strict=True):
            threads.append(threading.Thread(target=_read, args=(fd, parts), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        out, err, report = (b"".join(parts) for parts in got)
        pid, _, code = report.decode().partition(" ")
        if any(thread.is_alive() for thread in threads):
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(words), timeout_s, out, err)
        if not code:
            raise RuntimeError(f"{self._argv[-2:]} ended before {words}: {err!r}")
        return subprocess.CompletedProcess(list(words), int(code), out, err)

    def _send(self, text: bytes, fds: list[int]) -> None:
        with self._lock:
            if self._line is None:
                self._line = self._start()
            socket.send_fds(self._line, [LENGTH.pack(len(text))], fds)
            self._line.sendall(text)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            none = subprocess.DEVNULL
            server = subprocess.Popen(
                [*self._argv, str(fd)],
                stdin=none,
                stdout=none,
                pass_fds=[fd],
                env=self._environment,
            )

        def end() -> None:
            ours.close()
            server.wait()

        atexit.register(end)
        return ours


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(AT_START)}


def _write(fd: int, data: bytes) -> None:
    with suppress(BrokenPipeError), os.fdopen(fd, "wb", buffering=0) as file:
        while data:
            data = data[file.write(data) :]


def _read(fd: int, parts: list[bytes]) -> None:
    with os.fdopen(fd, "rb", buffering=0) as file:
        while data := file.read(1 << 16):
            parts.append(data)


def serve(line: socket.socket) -> list[str]:
    """Fork for each command on the line; return its words in the child, and exit at the end."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a user who stops the tests
    reports: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([line.fileno(), woken], [], [])
        if woken in ready:
            with suppress(BlockingIOError):
                os.read(woken, 1 << 12)
            _report_ended(reports)
        if line.fileno() not in ready:
            continue
        head, fds, _, _ = socket.recv_fds(line, LENGTH.size, NUM_FDS)
        if not head:
            sys.exit()
        asked = json.loads(_exactly(line, LENGTH.unpack(head)[0]))
        pid = os.fork()
        if pid == 0:
            for fd in (line.detach(), woken, wake, fds[3], *reports.values()):
                os.close(fd)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            _become(fds[:3], asked["env"], asked["cwd"])
            return list(asked["words"])
        os.write(fds[3], f"{pid} ".encode())
        reports[pid] = fds[3]
        for fd in fds[:3]:
            os.close(fd)


def _report_ended(reports: dict[int, int]) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            fd = reports.pop(pid)
            with suppress(BrokenPipeError), os.fdopen(fd, "wb", buffering=0) as file:
                file.write(str(os.waitstatus_to_exitcode(status)).encode())


def _exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += line.recv(size - len(data))
    return data


def _become(fds: list[int], env: dict[str, str], cwd: str) -> None:
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    tempfile.tempdir = None  # as at a start: TMPDIR may be another


def _client(program: str) -> Callable[[], int | None]:
    """Import all of the client; what its script does then."""
    import moola_remote
    from moola_remote.cli import main

    for module in pkgutil.walk_packages(moola_remote.__path__, "moola_remote."):
        if not module.name.startswith("moola_remote.agent.") and "__main__" not in module.name:
            with suppress(ModuleNotFoundError):  # of an extra
                importlib.import_module(module.name)
    for name in OFTEN:
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    sys.path[0] = str(Path(program).parent)
    return main


def _agent(program: str) -> Callable[[], int | None]:
    """Import all of the agent from its file; what that does then."""
    sys.path.insert(0, program)
    with zipfile.ZipFile(program) as file:
        names = [name[:-3].replace("/", ".") for name in file.namelist() if name.endswith(".py")]
    for name in names:
        if "__" not in name:
            importlib.import_module(name)
    main = importlib.import_module("moola_remote.agent.__main__").main
    return lambda: main(sys.argv[1:])


if __name__ == "__main__":
    _, kind, program, fd = sys.argv
    start = {"client": _client, "agent": _agent}[kind](program)
    gc.collect()
    gc.freeze()
    sys.argv = [program, *serve(socket.socket(fileno=int(fd)))]
    sys.exit(start())
