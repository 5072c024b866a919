"""Changes of files, heard of by inotify; where it is missing there is nothing to hear."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Optional

MODIFY, CLOSE_WRITE, MOVED_TO, CREATE = 0x2, 0x8, 0x80, 0x100


def libc() -> Any:
    """Return the C library.

    Raises:
        ImportError, OSError: it can't be called from this Python.
    """
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def open_inotify() -> Optional[int]:
    """Return a descriptor that becomes readable with each event; None where there is none."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        fd = libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        return fd if fd >= 0 else None
    return None


def add_watch(fd: int, path: Path, events: int) -> Optional[int]:
    """Have events of a file, or of those in a folder, reported; return its number, or None."""
    watch: int = libc().inotify_add_watch(fd, os.fsencode(path), events)
    return watch if watch >= 0 else None


def remove_watch(fd: int, watch: int) -> None:
    """Have nothing more of it reported."""
    libc().inotify_rm_watch(fd, watch)
