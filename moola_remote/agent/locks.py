"""Locks that end with their process (flock)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Iterator, Optional


def lock(path: Path, *, patience_s: Optional[float] = None) -> Optional[int]:
    """Take a lock file; None if somebody still has it after `patience_s` (None waits for ever).

    Returns:
        A descriptor: the lock lasts until every copy of it is closed, by whatever death.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if patience_s is None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd
    give_up = time.monotonic() + patience_s
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        if time.monotonic() >= give_up:
            os.close(fd)
            return None
        time.sleep(0.01)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    fd = lock(path)
    assert fd is not None
    try:
        yield
    finally:
        os.close(fd)


def is_locked(path: Path) -> bool:
    """Return whether a living process holds it; a shared lock disturbs others for microseconds."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
