"""The bytecode that jobs share, kept sound where a disk was full.

importlib renames a ``.pyc`` into place without a look at how much of it was written (seen in
Python 3.8 to 3.13.0): a full disk leaves one that was cut, and every later start of that Python
ends with "marshal data too short", long after there is room again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import List

# A write that finds no room ends where a page does.
PAGE_BYTES = 4096


def cache_of(root: Path) -> Path:
    """Return the jobs' ``PYTHONPYCACHEPREFIX``."""
    return root / "cache" / "pycache"


def drop_torn(cache: Path) -> None:
    """Remove each ``.pyc`` that a full disk may have cut, by its size, in what changed since.

    A whole one of such a size, one in 4,096, is written again by the next import.
    """
    checked = cache / ".checked"
    with contextlib.suppress(OSError):  # none yet, no room, or another start does the same
        since = checked.stat().st_mtime_ns if checked.exists() else 0
        checked.touch()
        for folder, _, names in os.walk(str(cache)):
            if os.stat(folder).st_mtime_ns >= since:  # noqa: PTH116 - of thousands
                _drop_torn_of(Path(folder), names)


def _drop_torn_of(folder: Path, names: List[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError):
            if name.endswith(".pyc") and (folder / name).stat().st_size % PAGE_BYTES == 0:
                (folder / name).unlink()
