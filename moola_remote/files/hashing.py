"""SHA-256 of files, and a memory of those that have not changed since."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from pathlib import Path

from moola_remote.files import atomic

BLOCK = 1 << 20
# A file that was changed this lately may be changed again without a change of its times.
RACY_NS = 2_000_000_000


def sha256_of(path: Path | str) -> tuple[int, str]:
    """Return the size and the SHA-256 of a regular file; a link is not followed.

    Raises:
        OSError: it can't be read, or is not a regular file.
    """
    # O_NONBLOCK: a planted fifo must not hold us up.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb", buffering=0) as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path}: no regular file")
        digest, size = hashlib.sha256(), 0
        # To make room for a megabyte costs more than to hash a file of source.
        room = min(BLOCK, found.st_size + 1)
        while block := file.read(room):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


class HashCache:
    """Remembers the SHA-256 of a file by its path, size, time of change and inode.

    Args:
        path: where it is kept between two commands, None for nowhere; a broken one counts as empty.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        self._is_changed = False
        if path is not None:
            with contextlib.suppress(FileNotFoundError, ValueError):
                known = json.loads(path.read_bytes())
                self._known = known if isinstance(known, dict) else {}

    def sha256_of(self, path: Path | str, status: os.stat_result) -> tuple[int, str]:
        """As `sha256_of`; `status` is the file's ``lstat``."""
        if self._path is None:
            return sha256_of(path)
        key = f"{status.st_size} {status.st_mtime_ns} {status.st_ino} "
        known = str(self._known.get(str(path)))
        if known.startswith(key):
            return status.st_size, known[len(key) :]
        size, digest = sha256_of(path)
        if time.time_ns() - status.st_mtime_ns > RACY_NS:
            self._known[str(path)] = key + digest
            self._is_changed = True
        return size, digest

    def save(self) -> None:
        """Write what is new."""
        if self._path is None or not self._is_changed:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        atomic.write(self._path, json.dumps(self._known), sync=False)  # a lost cache costs time
