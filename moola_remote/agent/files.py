"""Files: written by rename, read with limits, never through a link."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, Callable, List, Optional, TypeVar, Union

from moola_remote.agent.constants import BLOCK, JSON_BYTES, LAST_LINES, Json
from moola_remote.agent.lazy import hashlib

PathLike = Union[bytes, str, Path]
T = TypeVar("T")


def write_json(path: Path, value: Any, *, sync: bool = True, folder: bool = True) -> bytes:
    """Replace a file in one step: a reader sees the old one or the new one, power cuts included.

    Args:
        path: of the file.
        value: what it holds.
        sync: flush it to the disk; else a power cut may leave it empty.
        folder: flush its folder too; else the caller does, and until then it may be the old one.
    """
    content = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    aside = path.parent / f".{path.name.lstrip('.')}.{os.getpid()}.aside"
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        aside.replace(path)
    except OSError as err:
        with contextlib.suppress(OSError):
            aside.unlink()
        err.filename = str(path)  # of another name nobody has heard
        raise
    if sync and folder:
        sync_folder(path.parent)
    return content


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that a job may have replaced: its pipe never answers, its device never ends.

    Raises:
        FileNotFoundError: there is no regular file.
    """
    fd = readable(path, lambda path: os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise FileNotFoundError(errno.ENOENT, "expected a regular file", str(path))


def readable(path: PathLike, read: Callable[[PathLike], T]) -> T:
    """Return ``read(path)``; what its owner may not read is made readable, where we are the owner.

    Raises:
        OSError: it can't be read all the same.
    """
    try:
        return read(path)
    except PermissionError:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            raise
        os.chmod(path, stat.S_IMODE(mode) | (0o700 if stat.S_ISDIR(mode) else 0o600))  # noqa: PTH101
        return read(path)


def append(path: Path, line: str) -> None:
    """Add a line with one write."""
    fd = open_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_json(path: Path) -> Optional[Json]:
    """Return the object in a file; None where there is none, or none that can be read."""
    try:
        with os.fdopen(open_file(path), "rb") as file:
            if os.fstat(file.fileno()).st_size > JSON_BYTES:
                return None
            value = json.loads(file.read(JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def head(path: Path, limit: int) -> bytes:
    with os.fdopen(open_file(path), "rb") as file:
        return file.read(limit)


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def sha256_of(path: PathLike, size: int) -> str:
    """Return the SHA-256 of a regular file.

    Args:
        path: of the file.
        size: what it should have: to make room for a megabyte costs more than to hash a file of
            source. So would a file object, and another look at the size.
    """
    fd = readable(path, open_to_read)
    try:
        return sha256_of_open(fd, size)
    finally:
        os.close(fd)


def sha256_of_open(fd: int, size: int) -> str:
    """Return that of what is still to be read of an open file."""
    room = min(1 << 20, size + 1)
    block = os.read(fd, room)
    digest = hashlib.sha256(block)
    while len(block) == room:  # only at its end a file gives less than it is asked for
        block = os.read(fd, room)
        digest.update(block)
    return digest.hexdigest()


def open_to_read(path: PathLike) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def last_lines(path: Path) -> List[str]:
    """Return the end of a log; a progress bar as a terminal would leave it."""
    try:
        with os.fdopen(open_file(path), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - BLOCK // 4))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.rstrip("\n").split("\n")[-LAST_LINES:] if text.strip() else []
    return [line.rstrip("\r").rpartition("\r")[2][:500] for line in lines]


def bytes_of(top: Path) -> int:
    """Return what removing a folder gives back: files that another snapshot shares don't count."""
    total = 0
    for folder, _, files in () if top.is_symlink() else os.walk(top):
        for name in files:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - many
                total += found.st_size if found.st_nlink == 1 else 0
    return total


def reservation_of(tree: Path) -> Path:
    """Return the file whose time says when a tree was last about to be used."""
    return tree.with_name(f".reserved-{tree.name}")


def write_error(folder: Path, size: int) -> Optional[str]:
    """Return why so much can't be written: a quota shows in no number of the file system."""
    path = folder / f".room-{os.getpid()}"
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as err:
        words = os.strerror(err.errno or errno.EIO)
        return f"no inodes left (df -i), {words}" if has_no_inodes(err, folder) else words
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    return None


def says_full(words: str) -> bool:
    """Return whether an answer of `write_error` is that of a full disk, or of a quota."""
    return words.endswith((os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT)))


def has_no_inodes(err: OSError, folder: Path) -> bool:
    """Return whether a disk is full of files; some have no such limit."""
    with contextlib.suppress(OSError):
        found = os.statvfs(folder)
        return err.errno == errno.ENOSPC and found.f_files > 0 and found.f_favail == 0
    return False


def words_of(err: OSError) -> str:
    """Return the file that an error is about, where it names one, and what the system says."""
    why = err.strerror or str(err) or type(err).__name__
    return why if err.filename is None else f"{os.fsdecode(err.filename)}: {why}"


def put_aside(path: Path) -> Path:
    """Out of sight in one step; what a cut leaves behind goes with the next sweep."""
    aside = path.with_name(f".removed-{path.name}-{os.getpid()}")
    for beside in (path.with_name(f"{path.name}.json"), reservation_of(path)):
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
    return aside
