"""What is not sent, counted by rule."""

from __future__ import annotations

import contextlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from moola_remote.files.hashing import AnyStatus
from moola_remote.text.sanitize import safe


class Entry(NamedTuple):
    """What travels, a file, a link or an empty folder: its path, POSIX, and its status.

    `sha256` is that of a file which has not changed since it was hashed.
    """

    path: str
    status: AnyStatus
    sha256: str | None = None

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is an empty folder."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def size(self) -> int:
        """Bytes of its content; of a link its target's."""
        return 0 if self.is_folder else self.status.st_size


@dataclass(frozen=True)
class Skipped:
    """What one rule keeps from travelling; `paths` names the first few."""

    rule: str
    count: int
    size: int
    paths: tuple[str, ...]

    def __str__(self) -> str:
        named = ", ".join(safe(path, 80) for path in self.paths)
        return f"{self.rule}: {named}{', ...' if self.count > len(self.paths) else ''}"


class SkipReport:
    """Collects what is left out; `ignored` is what git names so, without the folders of tools.

    `overlooked` are tracked files whose changes git was told not to look for, by the repository
    inside that has them, or "".
    """

    NAMED = 5

    def __init__(self) -> None:
        self.ignored: list[str] = []
        self.overlooked: dict[str, list[bytes]] = {}
        self._found: dict[str, list[tuple[str, int]]] = defaultdict(list)

    def add(self, rule: str, path: str, size: int) -> None:
        """Note that `rule` keeps `path` back."""
        self._found[rule].append((path, size))

    def all(self) -> tuple[Skipped, ...]:
        """One line a rule."""
        return tuple(
            Skipped(rule, len(found), sum(size for _, size in found), _first(found, self.NAMED))
            for rule, found in sorted(self._found.items())
            if found
        )


def _first(found: Sequence[tuple[str, int]], count: int) -> tuple[str, ...]:
    return tuple(path for path, _ in found[:count])


def size_of(path: Path, budget: Iterator[int]) -> int:
    """Bytes of a file, or of all below a folder as long as there is `budget`, one a file."""
    is_folder = path.is_dir() and not path.is_symlink()
    below = (f"{here}/{name}" for here, _, files in os.walk(path) for name in files)
    total = 0
    for file in below if is_folder else [path]:
        if next(budget, None) is None:
            break
        with contextlib.suppress(OSError):  # gone meanwhile
            total += os.lstat(file).st_size
    return total
