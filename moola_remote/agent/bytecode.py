"""The bytecode of jobs: one folder for the pod, kept sound where a disk was full, and bounded.

Python files it there by the source's path, so that what a job imports of its working copy is the
run's own, and goes with the run. It is not shared between runs of the same code: a ``.pyc`` counts
as current by its source's size and second alone, and two runs may write modules that agree in both.

importlib renames a ``.pyc`` into place without a look at how much of it was written (seen in
Python 3.8 to 3.13.0): a full disk leaves one that was cut, and every later start of that Python
ends with "marshal data too short", long after there is room again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Iterator, List

# A write that finds no room ends where a page does.
PAGE_BYTES = 4096


def cache_of(root: Path) -> Path:
    """Return the jobs' ``PYTHONPYCACHEPREFIX``."""
    return root / "cache" / "pycache"


def _place_of(root: Path, kind: str) -> Path:
    """Return where Python files the bytecode of what lies in a folder of the pod's."""
    return cache_of(root) / os.path.realpath(str(root / kind)).lstrip("/")


def unneeded_bytecode(root: Path) -> Iterator[Path]:
    """Yield the bytecode of runs and environments that are no longer on the pod."""
    for kind in ("runs", "env"):
        with contextlib.suppress(OSError):
            for path in _place_of(root, kind).iterdir():
                if not (root / kind / path.name).exists():
                    yield path


def drop_torn(root: Path) -> None:
    """Remove each ``.pyc`` that a full disk may have cut, by its size, in what changed since.

    A whole one of such a size, one in 4,096, is written again by the next import. That of runs is
    left alone: no other run reads it.
    """
    cache, runs = cache_of(root), _place_of(root, "runs")
    checked = cache / ".checked"
    with contextlib.suppress(OSError):  # none yet, no room, or another start does the same
        since = checked.stat().st_mtime_ns if checked.exists() else 0
        checked.touch()
        for folder, folders, names in os.walk(str(cache)):
            if folder == str(runs.parent) and runs.name in folders:
                folders.remove(runs.name)
            if os.stat(folder).st_mtime_ns >= since:  # noqa: PTH116 - of thousands
                _drop_torn_of(Path(folder), names)


def _drop_torn_of(folder: Path, names: List[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError):
            if name.endswith(".pyc") and (folder / name).stat().st_size % PAGE_BYTES == 0:
                (folder / name).unlink()
