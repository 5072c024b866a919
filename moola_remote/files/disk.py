"""A disk of this machine that is full: said in one line that names it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from moola_remote.errors import LimitError

FULL = (errno.ENOSPC, errno.EDQUOT)
# A disk with less can't be distinguished from a full one.
LITTLE_BYTES = 1 << 20


def is_full(err: BaseException) -> bool:
    """Return whether an error is that of a full disk, or of a quota."""
    return isinstance(err, OSError) and err.errno in FULL


def full_disk(err: OSError, places: Iterable[Path]) -> LimitError:
    """Return the error for a full disk of this machine.

    Args:
        err: what was raised; it may name no file.
        places: where this program writes, asked for room where `err` names none.
    """
    named = [Path(os.fsdecode(err.filename))] if isinstance(err.filename, str | bytes) else []
    found = named or [place for place in places if _room(place) < LITTLE_BYTES]
    disks = sorted({str(_disk_of(place)) for place in found})
    where = f"the disk of {' and of '.join(disks)}" if disks else "a disk of this machine"
    what = "its quota is used up" if err.errno == errno.EDQUOT else "no space left"
    return LimitError(f"{where}: {what}", "make room there, then run this again")


def usual_places() -> list[Path]:
    """Return where this program writes: the working folder, and that of temporary files."""
    found = []
    for find in (Path.cwd, lambda: Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            found.append(find())
    return found


def _disk_of(path: Path) -> Path:
    """Return the mount point."""
    path = Path(os.path.realpath(path))
    while not path.exists() or not (path.is_mount() or path == path.parent):
        path = path.parent
    return path


def _room(path: Path) -> float:
    with contextlib.suppress(OSError):
        while not path.exists():
            path = path.parent
        return shutil.disk_usage(path).free
    return float("inf")
