"""How a queued run waits: the run in front, the lock of a GPU, or a wish to cancel wakes it.

The kernel reports when the last descriptor of a lock file is closed, by whatever death, and when a
state or a wish is renamed into place. Where it can't there is a look five times a second.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import List, Optional

from moola_remote.agent.constants import HEARTBEAT_S, TICK_S
from moola_remote.agent.inotify import CLOSE_WRITE, MOVED_TO, add_watch, open_inotify, remove_watch
from moola_remote.agent.layout import Pod, Run
from moola_remote.agent.live_state import LiveState

# The kernel reports a lock's last close a moment before the lock is free.
MOMENT_S = 0.002
# Another machine that shares our volume frees its lock without our kernel's knowledge.
LOCK_LOOK_S = 1.0


class Waiting:
    """What wakes one queued run: rest() returns when something may have changed."""

    def __init__(self, pod: Pod, live: LiveState, gpus: List[int]) -> None:
        self.pod = pod
        self.live = live
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

    def close(self) -> None:
        """Let go of everything."""
        signal.set_wakeup_fd(-1)
        for fd in (self.signal_end, self.write_end, self.fd):
            if fd is not None:
                os.close(fd)
