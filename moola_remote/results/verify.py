"""Compare what was fetched with the manifest, within the caps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import LimitError, TransferError
from moola_remote.files.hashing import HashCache, sha256_of
from moola_remote.results.fetched import Caps, Missing
from moola_remote.results.staging import below, logger, sweep
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.protocol.manifest import ManifestFile


def status_of(path: str, file: ManifestFile, hashes: HashCache) -> os.stat_result | None:
    """Return the ``lstat`` of a file that was fetched before; None where there is none.

    What `hashes` knows unchanged is not read.

    Raises:
        TransferError: something else lies there.
    """
    try:
        status = os.lstat(path)
        if hashes.sha256_of(path, status) == (file.size, file.sha256):
            return status
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as err:  # a link or a folder is in the way as well
        logger.info("%s: %s", path, err)
    raise TransferError(
        f"{safe(path)}: differs from the pod's, and is not replaced",
        "move it away, then fetch again",
    )


def check_caps(run_id: str, final: Path, files: Sequence[ManifestFile], caps: Caps) -> None:
    """Raise a LimitError where `files`, with what is here already, pass the caps."""
    inside = (one for one in below(final) if one.is_file(follow_symlinks=False))
    there = [one.stat(follow_symlinks=False).st_size for one in inside]
    total, count = sum(there) + sum(file.size for file in files), len(there) + len(files)
    if count > caps.max_files:
        raise LimitError(
            f"run {run_id}: {count} files, expected at most {caps.max_files}",
            f"fetch it with --max-files {count}",
        )
    if total > caps.max_bytes:
        raise LimitError(
            f"run {run_id}: {total} bytes, expected at most {caps.max_bytes}",
            f"fetch it with --max-gb {total // 10**9 + 1}",
        )


def check_space(staging: Path, files: Sequence[ManifestFile]) -> None:
    """Raise a LimitError where this disk has no room for what is still to come."""
    there = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    needed = sum(file.size for file in files) - there
    free = shutil.disk_usage(staging).free
    if needed > free:
        raise LimitError(
            f"{staging.parent}: {needed} bytes to fetch, {free} free on this disk",
            "free some space, then fetch again",
        )


def verify(
    what: str, staging: Path, wanted: Sequence[ManifestFile], others: Collection[str] = ()
) -> list[Missing]:
    """Return what has not come as the manifest says; what came otherwise is removed.

    Args:
        what: a run or a tree, as errors name it.
        staging: where it came to.
        wanted: all that was asked for.
        others: names of files that may lie there too.

    Raises:
        TransferError: something came that was not asked for.
    """
    unasked = sweep(staging, {*others, *(file.name for file in wanted)})
    if unasked:
        raise TransferError(f"{what}: this was not asked for: {safe(unasked[0], 80)}")
    return [
        not_as_declared(file)
        for file in wanted
        if not is_as_declared(f"{staging}/{file.name}", file)
    ]


def not_as_declared(file: ManifestFile) -> Missing:
    """Return what is said of a file that has not come as the manifest says."""
    return Missing(file.shown, "missing, or not as the manifest says", file.size)


def is_as_declared(path: str, file: ManifestFile) -> bool:
    """Return whether a file is as the manifest says; another regular one is removed."""
    try:
        if sha256_of(path) == (file.size, file.sha256):
            return True
        os.unlink(path)  # noqa: PTH108 - the same size and time would keep rsync from sending it again
    except OSError:
        return False
    return False
