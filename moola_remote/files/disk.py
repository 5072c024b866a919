"""A disk of this machine that is full: said in one line that names it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from moola_remote.errors import LimitError, MoolaError

FULL = (errno.ENOSPC, errno.EDQUOT)
# A disk with less can't be distinguished from a full one.
LITTLE_BYTES = 1 << 20
MAKE_ROOM = "make room there, then run this again"
NO_INODES = "no inodes left, as df -i shows"
REMOVE_FILES = "remove files there, however small, then run this again"
# What Python says where no folder takes temporary files: on a full disk, none does.
NO_TEMPORARY = "No usable temporary directory found in "


def is_full(err: BaseException) -> bool:
    """Return whether an error is that of a full disk, or of a quota."""
    return isinstance(err, OSError) and err.errno in FULL


def unwritable(
    path: Path, err: OSError, kind: type[MoolaError] = LimitError, where: str = ""
) -> MoolaError:
    """Return the error for a file or folder of this machine that can't be written.

    Args:
        path: of it.
        err: what was raised.
        kind: class of the error.
        where: the path as it is shown, where it is not safe as it is.
    """
    why, cure = err.strerror, f"make {where or path} writable for you"
    if is_full(err):
        why, cure = (NO_INODES, REMOVE_FILES) if has_no_inodes(path) else (why, MAKE_ROOM)
    return kind(f"{where or path}: can't be written, {why}", cure)


def no_temporary(err: OSError) -> LimitError | None:
    """Return the error where no folder takes temporary files; None where `err` is another one."""
    _, said, folders = str(err.strerror).partition(NO_TEMPORARY)
    if not said:
        return None
    return LimitError(
        f"no folder for temporary files can be written to, tried {folders.strip('[]')}",
        "make room there, or name another folder with TMPDIR",
    )


def full_disk(err: OSError, places: Iterable[Path]) -> LimitError:
    """Return the error for a full disk of this machine.

    Args:
        err: what was raised; it may name no file.
        places: where this program writes, asked for room where `err` names none.
    """
    named = [Path(os.fsdecode(err.filename))] if isinstance(err.filename, str | bytes) else []
    found = named or [place for place in places if is_without_room(place)]
    disks = sorted({str(_disk_of(place)) for place in found})
    where = f"the disk of {' and of '.join(disks)}" if disks else "a disk of this machine"
    if any(has_no_inodes(place) for place in found):
        return LimitError(f"{where}: {NO_INODES}", REMOVE_FILES)
    what = "its quota is used up" if err.errno == errno.EDQUOT else "no space left"
    return LimitError(f"{where}: {what}", MAKE_ROOM)


def usual_places() -> list[Path]:
    """Return where this program writes: the working folder, and that of temporary files."""
    found = []
    for find in (Path.cwd, lambda: Path(tempfile.gettempdir())):
        with contextlib.suppress(OSError):
            found.append(find())
    return found


def is_without_room(place: Path) -> bool:
    """Return whether a disk can't be distinguished from a full one."""
    return _room(place) < LITTLE_BYTES or has_no_inodes(place)


def has_no_inodes(place: Path) -> bool:
    """Return whether a disk takes no further file, whatever its size; some have no such limit."""
    with contextlib.suppress(OSError):
        found = os.statvfs(_existing(place))
        return found.f_files > 0 and found.f_favail == 0
    return False


def _disk_of(path: Path) -> Path:
    """Return the mount point."""
    path = Path(os.path.realpath(path))
    while not path.exists() or not (path.is_mount() or path == path.parent):
        path = path.parent
    return path


def _room(path: Path) -> float:
    with contextlib.suppress(OSError):
        return shutil.disk_usage(_existing(path)).free
    return float("inf")


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
