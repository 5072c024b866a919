"""How a queued run waits: the run in front, the lock of a GPU, or a wish to cancel wakes it.

The kernel reports when the last descriptor of a lock file is closed, by whatever death, and when a
state or a wish is renamed into place. Where it can't there is a look five times a second.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import List, Optional

import moola_remote.agent
from moola_remote.agent.constants import HEARTBEAT_S, TICK_S
from moola_remote.agent.inotify import CLOSE_WRITE, MOVED_TO, add_watch, open_inotify, remove_watch
from moola_remote.agent.layout import Pod, Run
from moola_remote.agent.live_state import LiveState
from moola_remote.agent.restart_guard import ensure_guard

# The kernel reports a lock's last close a moment before the lock is free.
MOMENT_S = 0.002
# Another machine that shares our volume frees its lock without our kernel's knowledge.
LOCK_LOOK_S = 1.0
# As text, since it is run as `python -c`; read at once, since our file may go.
SLEEPER = moola_remote.agent.__spec__.loader.get_data(  # type: ignore[union-attr]
    str(Path(moola_remote.agent.__path__[0], "sleeper.py"))
).decode()
# With a program that was removed, Python is given the descriptor that we still have.
OPEN_FILE = "/proc/self/fd/"


class Waiting:
    """What wakes one queued run: rest() returns when something may have changed."""

    def __init__(self, pod: Pod, live: LiveState, gpus: List[int], lock_fd: int) -> None:
        self.pod = pod
        self.live = live
        self.lock_fd = lock_fd
        self.front: Optional[str] = None
        self.front_watches: List[int] = []
        self.fd = open_inotify()
        self.is_complete = True
        self.watch(live.run.own, MOVED_TO)
        for gpu in gpus:
            lock = pod.gpu_lock(gpu)
            os.close(os.open(lock, os.O_RDONLY | os.O_CREAT, 0o600))  # wakes no process
            self.watch(lock, CLOSE_WRITE)
        # A signal ends the wait too, as it would end a sleep.
        self.signal_end, self.write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self.write_end, warn_on_full_buffer=False)

    def watch(self, path: Path, events: int) -> Optional[int]:
        found = None if self.fd is None else add_watch(self.fd, path, events)
        self.is_complete &= found is not None
        return found

    def follow(self, front: Optional[str]) -> bool:
        """Be woken by this run's state and end, in place of the one before; None is no run.

        Returns:
            Whether it is another one: what has happened to it until now is still to be looked at.
        """
        if front == self.front:
            return False
        for watch in self.front_watches:
            if self.fd is not None:
                remove_watch(self.fd, watch)
        self.front = front
        self.front_watches = []
        if front is not None:
            run = Run(self.pod.runs / front)
            found = [self.watch(run.path, MOVED_TO), self.watch(run.lock, CLOSE_WRITE)]
            self.front_watches = [watch for watch in found if watch is not None]
        return True

    def rest(self, is_held_up: bool) -> None:
        """Wait for a change; the heartbeat is sent when it is due.

        Args:
            is_held_up: by the run in front, or by locks alone, whose ends the kernel reports.
        """
        seconds = TICK_S
        if is_held_up and self.is_complete:
            seconds = LOCK_LOOK_S if self.front is None else HEARTBEAT_S
        bells = [self.signal_end] if self.fd is None else [self.signal_end, self.fd]
        self.live.pause(seconds, bells)
        for bell in bells:
            with contextlib.suppress(BlockingIOError):
                if os.read(bell, 1 << 12) and bell == self.fd:
                    self.live.pause(MOMENT_S)

    def become_sleeper(self, seen: bytes) -> None:
        """Turn into the small program that waits behind another run; return where that can't be.

        Args:
            seen: the state of the run in front, while which it held us up.
        """
        if self.fd is None or not self.is_complete or self.front is None:
            return
        ensure_guard(self.pod)
        run, front = self.live.run, Run(self.pod.runs / self.front)
        kept = open_program()
        with contextlib.suppress(OSError):
            program = str(Path(sys.argv[0]).resolve()) if kept is None else sys.argv[0]
            kept = os.open(program, os.O_RDONLY) if kept is None else kept
            given = (self.fd, self.lock_fd, kept)
            for fd in given:
                os.set_inheritable(fd, True)
            words = [str(self.fd), str(HEARTBEAT_S), str(self.pod.root), str(run.path)]
            words += [str(run.own / ".cancel.json"), str(front.path / "state.json")]
            words += [str(front.lock), seen.hex(), f"{OPEN_FILE}{kept}"]
            python = [sys.executable, "-ISB"]
            again = [program, "--root", str(self.pod.root), "supervise", run.id]
            again += ["--held", str(self.lock_fd)]
            try:
                os.execv(sys.executable, [*python, "-c", SLEEPER, *words, *python, *again])
            finally:  # there is no room for it
                for fd in given:
                    os.set_inheritable(fd, False)

    def close(self) -> None:
        """Let go of everything."""
        signal.set_wakeup_fd(-1)
        for fd in (self.signal_end, self.write_end, self.fd):
            if fd is not None:
                os.close(fd)


def open_program() -> Optional[int]:
    """Return the descriptor that this program was read from, its file having gone; else None."""
    path = sys.argv[0]
    return int(path[len(OPEN_FILE) :]) if path.startswith(OPEN_FILE) else None
