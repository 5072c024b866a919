"""Disks of a few megabytes, which fill up: a tmpfs each, that only root can mount."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[bool]:
    """Mount a disk at a folder, for as long as it is needed; False where that can't be done.

    Args:
        folder: made where it is missing.
        options: of the mount, such as ``size=2m,mode=700``.
    """
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def disk_or_skip(folder: Path, megabytes: int) -> Iterator[Path]:
    """Yield the folder with a disk at it; skip the test where there can be none."""
    with small_disk(folder, f"size={megabytes}m,mode=700") as is_there:
        if not is_there:
            pytest.skip("needs the right to mount a small file system")
        yield folder
