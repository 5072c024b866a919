"""The local pod's server: ``python -m moola_remote.providers.local.sshd FOLDER``.

The first process says how the start went and ends; the second, in its own session, serves.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging.handlers
import os
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

from moola_remote.providers.local.state import LocalPodFolder

LOCK_LIMIT_S = 15.0
LOG_BYTES = 256_000
_log = logging.getLogger("moola_remote.providers.local.sshd")


def main() -> int:
    """Start the server of the folder that the command line names, and wait until it serves."""
    folder = LocalPodFolder(Path(sys.argv[1]))
    answer, said = os.pipe()
    if os.fork():
        os.close(said)
        with os.fdopen(answer, encoding="utf-8") as lines:
            why = lines.read() or "ended without a word"
        if why != "ready":
            sys.stderr.write(f"{why}\n")
        return 0 if why == "ready" else 1
    os.close(answer)
    _detach(folder)
    with os.fdopen(said, "w", encoding="utf-8") as caller:
        if _take_lock(folder):
            _serve(folder, caller)
        else:
            caller.write(
                "ready"
                if folder.running()
                else f"{folder.lock} is held by a process that does not serve"
            )
    return 0


def _serve(folder: LocalPodFolder, caller: TextIO) -> None:
    # Only now: the loser of two starts needn't load it.
    from moola_remote.providers.local.server import serve

    def ready() -> None:
        caller.write("ready")
        caller.close()

    try:
        asyncio.run(serve(folder, ready))
    except (OSError, ValueError) as err:
        _log.exception("ended")
        if not caller.closed:
            caller.write(" ".join(str(err).split()))


def _detach(folder: LocalPodFolder) -> None:
    """Leave the caller's session, fds and signal settings, for commands inherit what we have."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    home = Path(os.environ.get("HOME") or "/")
    os.chdir(home if home.is_dir() else "/")  # sftp's relative paths begin here
    handler = logging.handlers.RotatingFileHandler(folder.log, maxBytes=LOG_BYTES, backupCount=1)
    logging.basicConfig(
        handlers=[handler],
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    sys.excepthook = lambda kind, err, trace: _log.critical("ended", exc_info=(kind, err, trace))


def _take_lock(folder: LocalPodFolder) -> bool:
    """Return whether we are this folder's one server; waits for another one to serve or to end."""
    lock = os.open(folder.lock, os.O_WRONLY | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_LIMIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # kept open: the lock ends with us
        except BlockingIOError:  # noqa: PERF203
            if folder.running() or time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


if __name__ == "__main__":
    sys.exit(main())
