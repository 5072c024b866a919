"""A folder with a quota that holds for root too: a btrfs subvolume whose group has a limit.

ext4's quotas exempt root, and a full tmpfs answers ENOSPC; this one answers EDQUOT.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

IMAGE_BYTES = 2 << 30  # sparse; a deploy wants 0.5 GB to be free


def missing_for_quota() -> str:
    """What this machine lacks for it, or empty."""
    if os.geteuid() != 0:
        return "root, who may mount"
    if shutil.which("mkfs.btrfs") is None:
        return "mkfs.btrfs (btrfs-progs)"
    return "" if "btrfs" in Path("/proc/filesystems").read_text() else "btrfs in the kernel"


@contextlib.contextmanager
def quota_folder(folder: Path, limit: int) -> Iterator[Path]:
    """Mount a btrfs in `folder`, which exists and is empty; yields a folder in it with a quota.

    Args:
        folder: unmounted at the end.
        limit: bytes, metadata included.

    Raises:
        OSError: the mount is not allowed here.
    """
    image = folder.with_name(f"{folder.name}.btrfs")
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    # What was removed counts until the next commit: of a second, not of half a minute.
    _run("mkfs.btrfs", "-q", str(image))
    _run("mount", "-o", "loop,commit=1", str(image), str(folder))
    try:
        _run("btrfs", "quota", "enable", str(folder))
        limited = folder / "limited"
        _run("btrfs", "subvolume", "create", str(limited))
        set_limit(limited, limit)
        yield limited
    finally:
        _run("umount", "--lazy", str(folder))
        image.unlink()


def set_limit(limited: Path, limit: int | None) -> None:
    """Set another limit; None is none."""
    _run("btrfs", "qgroup", "limit", "none" if limit is None else str(limit), str(limited))


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{argv[0]}: {done.stderr.strip()}")
