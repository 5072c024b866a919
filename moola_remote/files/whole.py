"""A memory of many files that were all as they should be, and the look whether they still are.

A fetch of what is here already is little but this look: so it is one status a file, compared as
numbers, and neither the hashes nor the list of files is read for it.
"""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from moola_remote.files import atomic
from moola_remote.files.hashing import HashCache

_END = b"\0\0"  # of the paths, each of which ends with one of them


class Unchanged(NamedTuple):
    """How many files are whole; the size and the newest ctime of all."""

    files: int
    size: int
    changed_ns: int


class Whole:
    """What is remembered of one set of files, by a name.

    Args:
        path: where it is kept, None for nowhere; a broken one counts as empty.
        name: of the set, and of all that its being whole depends on.
    """

    def __init__(self, path: Path | None, name: str) -> None:
        self._path = path
        self._name = name

    def note(self, paths: Sequence[str], hashes: HashCache) -> None:
        """Remember that these files are as they should be, until a file is another.

        Nothing is noted where `hashes` does not remember one of them. A full disk costs the memory.
        """
        found = [hashes.remembered(path) for path in paths]
        statuses = [number for status in found if status for number in status]
        if self._path is None or not paths or len(statuses) < 4 * len(paths):
            return
        text = b"\0".join(map(os.fsencode, paths))
        try:
            body = text + _END + array("q", statuses).tobytes()
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            atomic.write(self._path, self._head(body) + body, sync=False)
        except (OSError, OverflowError):  # an inode or a time beyond 63 bits: not remembered
            return

    def look(self) -> Unchanged | None:
        """Return what was noted; None where nothing was, or a file has changed since, or gone."""
        try:
            content = b"" if self._path is None else self._path.read_bytes()
            head, newline, body = content.partition(b"\n")
            if not newline or head + newline != self._head(body):
                return None
            text, _, numbers = body.partition(_END)
            known = array("q", numbers)
            if _statuses(os.fsdecode(text).split("\0")) != known:
                return None
        except (OSError, OverflowError):
            return None
        return Unchanged(len(known) // 4, sum(known[::4]), max(known[2::4]))

    def _head(self, body: bytes) -> bytes:
        """Return the line before what is kept: not for another name, and not damaged."""
        name = os.fsencode(self._name).hex()
        return f"{name} {len(body)} {zlib.crc32(body)}\n".encode("ascii")


def _statuses(paths: Iterable[str]) -> array[int]:
    """Return four numbers a file, which change with its content (`HashCache`)."""
    numbers: list[int] = []
    for path in paths:
        one = os.lstat(path)
        numbers += (one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino)
    return array("q", numbers)
