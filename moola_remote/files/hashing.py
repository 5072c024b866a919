"""SHA-256 of files, and a memory of those that have not changed since."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import stat
import time
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from moola_remote.files import atomic

BLOCK = 1 << 20
# A file that was changed this lately may be changed again without a change of its times.
RACY_NS = 2_000_000_000


class Status(NamedTuple):
    """What of a file's ``lstat`` changes with its content; all of it takes three times the room."""

    st_mode: int
    st_size: int
    st_mtime_ns: int
    st_ctime_ns: int
    st_ino: int


AnyStatus: TypeAlias = os.stat_result | Status


def status_of(path: Path | str | bytes) -> Status:
    """Return the status of a file, folder or link.

    Raises:
        OSError: it can't be looked at.
    """
    one = os.lstat(path)
    return Status(one.st_mode, one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino)


def sha256_of(path: Path | str) -> tuple[int, str]:
    """Return the size and the SHA-256 of a regular file; a link is not followed.

    Raises:
        OSError: it can't be read, or is not a regular file.
    """
    # O_NONBLOCK: a planted fifo must not hold us up.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:  # a file object would cost as much as the hash of a file of source
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path}: no regular file")
        digest, size = hashlib.sha256(), 0
        # To make room for a megabyte costs more than to hash a file of source.
        room = min(BLOCK, found.st_size + 1)
        is_end = False
        while not is_end:
            block = os.read(fd, room)
            digest.update(block)
            size += len(block)
            is_end = len(block) < room  # only there a file gives less than it is asked for
    finally:
        os.close(fd)
    return size, digest.hexdigest()


class HashCache:
    """Remembers the SHA-256 of a file by its path, size, inode, and times of content and of change.

    The last can't be set by a program, so that a write which restores the other shows. A file that
    was changed just now is not remembered: it could change again within the same tick.

    Args:
        path: where it is kept between two commands, None for nowhere; a broken one counts as empty.
        tag: what was remembered under another one is not known.
        is_whole: what is not asked for before `save` is forgotten.
    """

    def __init__(self, path: Path | None, *, tag: str = "", is_whole: bool = False) -> None:
        self._path = path
        self._tag = f"{tag} " if tag else ""
        self._used: dict[str, str] | None = {} if is_whole else None
        self._is_changed = False
        # What was read, since it was not remembered.
        self.fresh: set[str] = set()

    @functools.cached_property
    def _known(self) -> dict[str, Any]:
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError, ValueError):
                known = json.loads(self._path.read_bytes())
                return known if isinstance(known, dict) else {}
        return {}

    def sha256_of(self, path: Path | str, status: AnyStatus) -> tuple[int, str]:
        """As `sha256_of`; `status` is the file's ``lstat``."""
        if self._path is None:
            return sha256_of(path)
        name = str(path)
        known = self.recall(name, status)
        if known is not None:
            return status.st_size, known
        size, digest = sha256_of(path)
        self.fresh.add(name)
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > RACY_NS:
            self._known[name] = self._key(status) + digest
            self._is_changed = True
            if self._used is not None:
                self._used[name] = self._known[name]
        return size, digest

    def recall(self, path: str, status: AnyStatus) -> str | None:
        """Return the SHA-256 of a file that has not changed since it was hashed; else None."""
        known, key = str(self._known.get(path)), self._key(status)
        if not known.startswith(key):
            return None
        if self._used is not None:
            self._used[path] = known
        return known[len(key) :]

    def remembered(self, path: str) -> tuple[int, ...] | None:
        """Return size, both times and inode of a file as they were when it was hashed."""
        known = str(self._known.get(path))
        try:
            size, modified, changed, inode, _ = known.removeprefix(self._tag).split(" ")
            return int(size), int(modified), int(changed), int(inode)
        except ValueError:
            return None

    def _key(self, status: AnyStatus) -> str:
        size, modified_ns, changed_ns = status.st_size, status.st_mtime_ns, status.st_ctime_ns
        return f"{self._tag}{size} {modified_ns} {changed_ns} {status.st_ino} "

    def save(self) -> None:
        """Write what is new."""
        kept = self._known if self._used is None else self._used
        if self._path is None or not (self._is_changed or len(kept) < len(self._known)):
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        atomic.write(self._path, json.dumps(kept), sync=False)  # a lost cache costs time
