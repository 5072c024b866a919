"""How a queued run waits: the run in front, the lock of a GPU, or a wish to cancel wakes it.

The kernel reports when the last descriptor of a lock file is closed, by whatever death, and when a
state or a wish is renamed into place. Where it can't there is a look five times a second.
"""

from __future__ import annotations
import __future__

import contextlib
import marshal
import os
import signal
import sys
from pathlib import Path
from types import CodeType
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
# Read at once, since our file may go.
SLEEPER: bytes = moola_remote.agent.__spec__.loader.get_data(  # type: ignore[union-attr]
    str(Path(moola_remote.agent.__path__[0], "sleeper.py"))
)
RUN_SLEEPER = (
    "import marshal, posix, sys; fd = int(sys.argv[1]); "
    "code, given = marshal.loads(posix.read(fd, 1 << 16)); posix.close(fd); "
    "exec(code); main(*given)"
)
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
        run, front, kept = self.live.run, Run(self.pod.runs / self.front), open_program()
        program = sys.argv[0] if kept is not None else str(Path(sys.argv[0]).resolve())
        with contextlib.suppress(OSError), contextlib.ExitStack() as on_error:
            fds = [self.fd, self.lock_fd, *os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)]
            for fd in fds[2:]:
                on_error.callback(os.close, fd)
            if kept is None:
                kept = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
                on_error.callback(os.close, kept)
            words = [str(self.fd), str(HEARTBEAT_S), str(self.pod.root), str(run.path)]
            words.append(str(run.own / ".cancel.json"))
            seen_of = [os.fsencode(front.path / "state.json"), os.fsencode(front.lock), seen]
            again = [sys.executable, "-ISB", program, "--root", str(self.pod.root)]
            again += ["supervise", run.id, "--held", str(self.lock_fd)]
            whole = marshal.dumps((sleeper(), (words, seen_of, again, f"{OPEN_FILE}{kept}")))
            if os.write(fds[3], whole) < len(whole):
                return
            for fd in (*fds[:3], kept):
                os.set_inheritable(fd, True)
                on_error.callback(os.set_inheritable, fd, False)
            small = [sys.executable, "-ISB", "-c", RUN_SLEEPER, str(fds[2]), run.id]
            os.execv(sys.executable, small)

    def close(self) -> None:
        """Let go of everything."""
        signal.set_wakeup_fd(-1)
        for fd in (self.signal_end, self.write_end, self.fd):
            if fd is not None:
                os.close(fd)


def sleeper() -> CodeType:
    """Return sleeper.py compiled, without the import that its annotations need as text."""
    source = SLEEPER.replace(b"from __future__ import annotations", b"")
    flags = __future__.annotations.compiler_flag
    code: CodeType = compile(source, "sleeper.py", "exec", flags, dont_inherit=True, optimize=2)
    return code


def open_program() -> Optional[int]:
    """Return the descriptor that this program was read from, its file having gone; else None."""
    path = sys.argv[0]
    return int(path[len(OPEN_FILE) :]) if path.startswith(OPEN_FILE) else None
