"""How a run waits that has another queued run in front of it: a Python of 2.7 MB instead of 8.

Its supervisor becomes this program (exec): the same process, which keeps the lock of the run, sends
its heartbeat, and becomes the supervisor again as soon as anything has happened that may matter.
Only the run that is next in line waits as a whole supervisor, so a freed GPU is taken at once.

Run as ``python -c``; what is imported here is built into every Python, and takes no memory.
SIGTERM (the pod is being stopped) ends it, as it ends a supervisor whose run is queued.
"""

from __future__ import annotations

import fcntl
import posix
import select
import sys
import time

BEAT = b'"heartbeat_at":'
# The kernel reports a lock's last close a moment before the lock is free.
MOMENT_S = 0.002


def read(path: str) -> bytes:
    """Return what a file holds; nothing where it can't be read."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return posix.read(fd, 1 << 20)
    except OSError:
        return b""
    finally:
        posix.close(fd)


def is_locked(path: str) -> bool:
    """Return whether a living process holds a lock."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        posix.close(fd)
    return False


def around_beat(state: bytes) -> tuple[bytes, bytes]:
    """Return what stands before and behind the time of a state's heartbeat.

    Raises:
        ValueError: there is none.
    """
    start = state.index(BEAT) + len(BEAT)
    return state[:start], state[state.index(b",", start) :]


def beat(folder: str, before: bytes, behind: bytes) -> None:
    """Replace the run's state by one with a new heartbeat; a full disk costs the heartbeat."""
    aside = f"{folder}/.state.json.{posix.getpid()}.aside"
    try:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
        fd = posix.open(aside, flags, 0o600)
        try:
            state = before + repr(time.time()).encode() + behind
            is_whole = posix.write(fd, state) == len(state)
        finally:
            posix.close(fd)
        if is_whole:
            posix.rename(aside, f"{folder}/state.json")
        else:
            posix.unlink(aside)
    except OSError:
        return


def sleep(bell: int, heartbeat_s: float, root: str, run: str, wish: str, front: list[str]) -> None:
    """Return when something has happened that may matter.

    Args:
        bell: becomes readable when a file that is watched has changed (inotify).
        heartbeat_s: between two heartbeats.
        root: of the pod.
        run: the run's folder.
        wish: a file that is there once the run is to be cancelled.
        front: of the run in front: the file of its state, its lock, and what the state was.
    """
    before, behind = around_beat(read(f"{run}/state.json"))
    front_state, front_lock, seen = front
    known = around_beat(bytes.fromhex(seen))
    due = time.monotonic() + heartbeat_s
    while True:
        if around_beat(read(front_state)) != known or not is_locked(front_lock) or read(wish):
            return
        if time.monotonic() >= due:
            if read(f"{root}/guard.json") and not is_locked(f"{root}/guard.lock"):
                return  # the supervisor starts another
            beat(run, before, behind)
            due = time.monotonic() + heartbeat_s
        if select.select([bell], [], [], max(0.0, due - time.monotonic()))[0]:
            try:
                posix.read(bell, 1 << 12)
            except BlockingIOError:
                continue
            time.sleep(MOMENT_S)


def main() -> None:
    """Wait as the first words say, then become the program that the others name."""
    bell, heartbeat_s, root, run, wish, *rest = sys.argv[1:]
    front, (spare, *argv) = rest[:3], rest[3:]
    try:  # noqa: SIM105 - contextlib takes memory
        sleep(int(bell), float(heartbeat_s), root, run, wish, front)
    except ValueError:  # a state of another form: the supervisor looks at it
        pass
    try:
        posix.stat(argv[2])
    except OSError:  # another version's was put there, and ours was taken away
        argv[2] = spare
    posix.execv(argv[0], argv)


if __name__ == "__main__":
    main()
