"""Bring what is not here of a run: staged, verified, then renamed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import PartialTransferError, TransferError
from moola_remote.results.fetched import Caps, Fetched, Missing
from moola_remote.results.links import make_links_and_folders
from moola_remote.results.small_files import SMALL, receive
from moola_remote.results.staging import promote, staging_folder, sweep
from moola_remote.results.verify import check_caps, check_space, not_as_declared, status_of, verify
from moola_remote.results.way import Way
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.protocol.manifest import Manifest, ManifestFile
# Bytes so far, bytes in all.
Progress = Callable[[int, int], None]


def bring(
    way: Way,
    manifest: Manifest,
    beside: Mapping[str, bytes],
    left: Sequence[ManifestFile],
    caps: Caps,
    progress: Progress | None,
) -> Fetched:
    """Bring what is not here of `manifest`, and write files of our own `beside` it, by name."""
    started = time.monotonic()
    unread = [Missing(one.shown, safe(one.reason, 200), one.size) for one in manifest.unreadable]
    missing = [one for one in unread if one.size]
    wanted, in_the_way, changed_ns = _wanted(way, manifest.files)
    check_caps(way.run_id, way.final, wanted, caps)
    came: list[ManifestFile] = []
    not_come: list[Missing] = []
    if wanted:
        with staging_folder(way.dest_root, way.run_id) as (staging, lock):
            sweep(staging, {file.name for file in wanted})
            check_space(staging, wanted)
            not_come = _take(way, staging, lock, wanted, progress)
            lost = {one.path for one in not_come}
            came = [file for file in wanted if file.shown not in lost]
            if came:
                promote(staging, way.final, [one.name for one in came], is_whole=not not_come)
    if came or (not wanted and (beside or manifest.entries)):
        way.final.mkdir(mode=0o700, parents=True, exist_ok=True)
        missing += make_links_and_folders(way.final, manifest)
        way.write(beside)
    return Fetched(
        way.run_id,
        way.final,
        files=len(came),
        bytes=sum(file.size for file in came),
        already_there=len(manifest.files) - len(wanted) - len(in_the_way),
        seconds=time.monotonic() - started,
        missing=(*in_the_way, *not_come, *missing),
        empty=tuple(one for one in unread if not one.size),
        left=tuple(left),
        changed_ns=changed_ns,
    )


def _wanted(
    way: Way, files: Sequence[ManifestFile]
) -> tuple[list[ManifestFile], list[Missing], int]:
    """Return the files that are not here, those whose place is taken, the last change of others."""
    final = str(way.final)
    if not os.path.lexists(final):
        return list(files), [], 0
    wanted, in_the_way, changed_ns = [], [], 0
    for file in files:
        try:
            status = status_of(f"{final}/{file.name}", file, way.hashes)
        except TransferError as err:  # each has its own reason
            in_the_way.append(Missing(file.shown, str(err), file.size))
            continue
        if status is None:
            wanted.append(file)
        else:
            changed_ns = max(changed_ns, status.st_ctime_ns)
    return wanted, in_the_way, changed_ns


def _take(
    way: Way,
    staging: Path,
    lock: int,
    wanted: Sequence[ManifestFile],
    progress: Progress | None,
) -> list[Missing]:
    """Bring files to the staging folder; return what has not come as the manifest says."""
    total = sum(file.size for file in wanted)

    def say(done: int) -> None:
        if progress:
            progress(min(done, total), total)

    small = [file for file in wanted if file.size <= SMALL]
    large = [file for file in wanted if file.size > SMALL]
    names = [file.name for file in small]
    not_come: list[Missing] = []
    before = sum(file.size for file in large)
    if large:
        largest = max(file.size for file in large)
        with contextlib.suppress(PartialTransferError):  # what is missing is seen below
            way.transport.pull(
                way.far.path,
                staging,
                files=[file.name for file in large],
                max_file=largest,
                max_bytes=before + largest,  # rsync sends a file twice if its own check fails
                progress=say,
                held=lock,
            )
        not_come = verify(f"run {way.run_id}", staging, large, names)
    # Last, so that rsync, were it deceived, writes to none of them.
    came = receive(way.agent, way.run_id, staging, small, lambda done: say(before + done))
    return [*not_come, *(not_as_declared(file) for file in small if file.name not in came)]
