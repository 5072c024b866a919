"""The staging folder of a fetch, and the renames that promote it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from moola_remote.errors import TransferError
from moola_remote.files import atomic
from moola_remote.rsync.argv import PARTIAL_DIR
from moola_remote.text.sanitize import safe

logger = logging.getLogger(__name__)
SYNC_THREADS = 8
# To hand over a file each costs as much as to flush it.
SYNCED_AT_ONCE = 32
# For so many all that waits for the disk is written first: to flush each then costs a fifth.
FLUSHED_FROM = 500
# How long an rsync may write on whose fetch was killed: it sees that when it next sends.
LAST_WRITES_S = 3.0


@contextlib.contextmanager
def staging_folder(dest_root: Path, run_id: str) -> Iterator[tuple[Path, int]]:
    """Yield the folder where files arrive, and the descriptor that locks it.

    An earlier fetch may have left files there. Whoever else writes there holds the descriptor too:
    it may outlive us.
    """
    staging = dest_root / f".staging-{run_id}"
    dest_root.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        staging.mkdir(mode=0o700)
    try:
        fd = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as err:
        raise TransferError(f"{staging}: expected a folder, {err.strerror}", "remove it") from err
    try:
        _lock(fd, staging, run_id)
        yield staging, fd
    finally:
        os.close(fd)


def _lock(fd: int, staging: Path, run_id: str) -> None:
    give_up = time.monotonic() + LAST_WRITES_S
    try:
        while not _is_locked(fd):
            if time.monotonic() > give_up:
                break
            time.sleep(0.05)
        else:
            if os.path.samestat(os.fstat(fd), staging.lstat()):
                return
    except FileNotFoundError as err:
        logger.info("%s: %s", staging, err)
    raise TransferError(f"run {run_id}: another fetch of it is in progress", "wait for it")


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sweep(staging: Path, wanted: set[str]) -> list[str]:
    """Remove all but wanted files, whole or in part; what that was."""
    removed = []
    top = len(f"{staging}/")
    for entry in below(staging):
        name = entry.path[top:]
        is_wanted = name.replace(f"{PARTIAL_DIR}/", "") in wanted
        is_file = is_wanted and entry.is_file(follow_symlinks=False)
        if not is_file and not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)  # noqa: PTH108 - one of many
            removed.append(name)
    return removed


def below(top: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder, if it is one; links are not followed."""
    folders = [str(top)] if top.is_dir() else []
    while folders:
        for entry in list(os.scandir(folders.pop())):
            yield entry
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)


def promote(staging: Path, final: Path, paths: Sequence[str], *, is_whole: bool) -> None:
    """Rename what was verified into place, once the disk has it.

    Args:
        staging: what has arrived.
        final: the run's folder; where there is none yet and all has come, it appears at once.
        paths: of the files, below either.
        is_whole: nothing is missing, so that nothing in `staging` is needed any more.

    Raises:
        TransferError: a link, or a file, lies where a folder is needed.
    """
    parts = [
        paths[first : first + SYNCED_AT_ONCE] for first in range(0, len(paths), SYNCED_AT_ONCE)
    ]
    if len(paths) >= FLUSHED_FROM:
        _flush_disk_of(staging)
    with ThreadPoolExecutor(SYNC_THREADS) as threads:  # the disk takes several at once in one go
        for _ in threads.map(partial(_sync_all, staging), parts):
            pass
    if is_whole and not final.exists():
        inside = below(staging)
        folders = [Path(one.path) for one in inside if one.is_dir(follow_symlinks=False)]
        for folder in reversed(folders):  # the deepest first
            if folder.name == PARTIAL_DIR:
                shutil.rmtree(folder)
            elif not any(folder.iterdir()):
                folder.rmdir()
        staging.rename(final)
    else:
        final.mkdir(mode=0o700, exist_ok=True)
        for path in paths:
            folder = real_folder(final, path.rpartition("/")[0])
            move(staging / path, folder / path.rpartition("/")[2])
        if is_whole:
            shutil.rmtree(staging)
        sync(final)
    sync(final.parent.resolve())  # it may be a link of the user's, to another disk


def _flush_disk_of(folder: Path) -> None:
    """Have Linux write what waits for the disk of `folder`; errors are seen file by file."""
    import ctypes

    syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
    if syncfs is not None:
        fd = os.open(folder, os.O_RDONLY)
        try:
            syncfs(fd)
        finally:
            os.close(fd)


def _sync_all(folder: Path, paths: Sequence[str]) -> None:
    for path in paths:
        sync(f"{folder}/{path}")


def move(source: Path, dest: Path) -> None:
    """Rename a file, also to another disk: there it is copied aside first."""
    try:
        source.rename(dest)
    except OSError as err:
        if err.errno != errno.EXDEV:
            raise
        with atomic.replacing(dest) as aside:
            shutil.copyfile(source, aside)
            sync(aside)
        source.unlink()


def real_folder(top: Path, name: str) -> Path:
    """Make a folder below `top`, and return it; no part of it may be a link.

    Raises:
        TransferError: a link, or a file, is in the way.
    """
    folder = top
    for part in filter(None, name.split("/")):
        folder = folder / part
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise TransferError(f"{safe(str(folder))}: expected a folder", "move it away")
    return folder


def sync(path: Path | str) -> None:
    """Flush a file or folder to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
