"""Brings a run's files home: staged, verified one by one against the manifest, then renamed.

The pod is not trusted. Nothing is promoted unless everything that was asked for is as the manifest
says; a fetch that was cut off goes on from its staging folder. A file that is there already with
the same content is left alone; one with other content is never replaced: the fetch stops.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from moola_remote import runs
from moola_remote.errors import LimitError, TransferError
from moola_remote.hashing import sha256_of
from moola_remote.layout import RunFolder
from moola_remote.manifest import MAX_MANIFEST_BYTES, ManifestFile, read_manifest
from moola_remote.rsync import PARTIAL_DIR
from moola_remote.screen import safe

if TYPE_CHECKING:
    from moola_remote.transport import Transport

logger = logging.getLogger(__name__)

What = Literal["results", "logs", "checkpoints", "all"]
# Bytes so far, bytes in all.
Progress = Callable[[int, int], None]

MANIFEST = "manifest.json"
STATE = "state.json"
READ_TIMEOUT_S = 60.0
HASH_S = 600.0


@dataclass(frozen=True)
class Caps:
    """The most of one run that may come to lie here, by however many fetches."""

    max_files: int = 10_000
    max_bytes: int = 50 * 10**9


@dataclass(frozen=True)
class Fetched:
    """What a fetch has done; `files` and `bytes` count what came now."""

    run_id: str
    folder: Path
    files: int
    bytes: int
    already_there: int
    seconds: float


def fetch_run(  # noqa: PLR0913 - each has its own source
    transport: Transport,
    agent: runs.Agent,
    run_id: str,
    dest_root: Path,
    *,
    what: What = "results",
    caps: Caps = Caps(),
    progress: Progress | None = None,
) -> Fetched:
    """Bring the files of a run that has ended to ``dest_root/<run id>``.

    Args:
        transport: the connection.
        agent: on the pod.
        run_id: a whole run id.
        dest_root: where fetched runs lie; made if need be.
        what: `results` is all but checkpoints, `logs` the log and the events.
        caps: the most that may come.
        progress: told the bytes so far.

    Raises:
        TransferError: the run goes on, or a file is missing, differs, or is in the way here.
        LimitError: a cap, or the space on this disk, is too small.
        UnreachableError: the connection was lost; the next fetch goes on from here.
    """
    _check_run_id(run_id)
    state = runs.get_state(agent, run_id)
    content = manifest_content(transport, agent, state)
    files = _chosen(read_manifest(content, run_id).files, what)
    far = agent.folder.run(run_id)
    told = state.model_dump_json(exclude={"now", "queue_position"}).encode()
    beside = {MANIFEST: content, STATE: told}
    return _bring(_Way(transport, far, dest_root), files, beside, caps=caps, progress=progress)


def fetch_checkpoints(
    transport: Transport,
    agent: runs.Agent,
    run_id: str,
    dest_root: Path,
    *,
    known: Collection[str] = (),
    caps: Caps = Caps(),
) -> list[str]:
    """Bring the checkpoints that a run which goes on has completed, verified by what the pod says.

    Args:
        transport: the connection.
        agent: on the pod.
        run_id: a whole run id.
        dest_root: where fetched runs lie; made if need be.
        known: paths that are here already, and are not looked at.
        caps: the most that may come.

    Returns:
        The paths that are here now, without those of `known`.

    Raises:
        TransferError: a file differs, or is in the way here; or the run has removed it meanwhile.
        LimitError: a cap, or the space on this disk, is too small.
        UnreachableError: the connection was lost; the next fetch goes on from here.
    """
    _check_run_id(run_id)
    answer = agent.call("checkpoints", run_id, stdin={"known": sorted(known)}, timeout_s=HASH_S)
    table = {"schema": 1, "run_id": run_id, "files": answer.get("files")}
    files = _chosen(read_manifest(json.dumps(table).encode(), run_id).files, "checkpoints")
    far = agent.folder.run(run_id)
    _bring(_Way(transport, far, dest_root), files, {}, caps=caps, progress=None)
    return [file.path for file in files]


def _check_run_id(run_id: str) -> None:
    if not re.fullmatch(runs.RUN_ID, run_id):
        raise TransferError(f"run {safe(run_id, 80)}: not a run id")


@dataclass(frozen=True)
class _Way:
    """From a run's folder on the pod to the folder of fetched runs."""

    transport: Transport
    far: RunFolder
    dest_root: Path


def _bring(
    way: _Way,
    files: Sequence[ManifestFile],
    beside: Mapping[str, bytes],
    *,
    caps: Caps,
    progress: Progress | None,
) -> Fetched:
    """Bring what is not here of `files`, and write files of our own `beside` them, by name."""
    started = time.monotonic()
    run_id = way.far.path.name
    final = way.dest_root / run_id
    wanted = [file for file in files if not _is_there(final / file.path, file)]
    _check_caps(run_id, final, wanted, caps)
    if wanted:
        with _staging(way.dest_root, run_id) as staging:
            _sweep(staging, {file.path for file in wanted})
            _check_space(staging, wanted)
            _pull(way.transport, way.far, staging, wanted, progress)
            _verify(run_id, staging, wanted)
            for name, content in beside.items():
                (staging / name).write_bytes(content)
            _promote(staging, final, [*(file.path for file in wanted), *beside])
    num_bytes = sum(file.size for file in wanted)
    seconds = time.monotonic() - started
    return Fetched(run_id, final, len(wanted), num_bytes, len(files) - len(wanted), seconds)


def manifest_content(transport: Transport, agent: runs.Agent, state: runs.RunState) -> bytes:
    """What a run's ``manifest.json`` holds, as its `state` names it.

    Raises:
        TransferError: the run goes on, or the manifest is another one, or can't be read.
    """
    run_id = state.run_id
    if not state.has_ended:
        raise TransferError(
            f"run {run_id}: still {state.state}; what it writes is complete when it has ended",
            f"follow it with `moola-remote attach {run_id}`, then fetch again; "
            "`moola-remote cancel` ends it with a last checkpoint",
        )
    expected = state.manifest_sha256 or runs.make_manifest(agent, run_id)
    far = agent.folder.run(run_id)
    content = read_file(transport, far.manifest, MAX_MANIFEST_BYTES)
    if hashlib.sha256(content).hexdigest() != expected:
        raise TransferError(f"run {run_id}: manifest.json is not the one that state.json names")
    return content


def read_file(transport: Transport, path: PurePosixPath, limit: int) -> bytes:
    """A small file of the pod.

    Raises:
        TransferError: it is not there, or has more than `limit` bytes.
    """
    channel = transport.open(["cat", "--", str(path)])
    try:
        content = bytearray()
        while part := channel.read(1 << 16, READ_TIMEOUT_S):
            content += part
            if len(content) > limit:
                raise TransferError(f"{path}: larger than {limit} bytes")
        if channel.returncode(READ_TIMEOUT_S) != 0:
            said = runs.last_words(channel.stderr())
            raise TransferError(f"{path}: can't be read on the pod, {said}")
        return bytes(content)
    finally:
        channel.close()


def _chosen(files: Sequence[ManifestFile], what: What) -> list[ManifestFile]:
    def is_wanted(path: str) -> bool:
        is_checkpoint = path.startswith("checkpoints/")
        return {
            "results": not is_checkpoint,
            "logs": path in ("log", "events.jsonl"),
            "checkpoints": is_checkpoint,
            "all": True,
        }[what]

    return [file for file in files if is_wanted(file.path)]


def _is_there(path: Path, file: ManifestFile) -> bool:
    """Whether the file was fetched before.

    Raises:
        TransferError: something else lies there.
    """
    try:
        if sha256_of(path) == (file.size, file.sha256):
            return True
    except FileNotFoundError:
        return False
    except OSError as err:  # a link or a folder is in the way as well
        logger.info("%s: %s", path, err)
    raise TransferError(
        f"{path}: differs from the pod's, and is not replaced", "move it away, then fetch again"
    )


def _check_caps(run_id: str, final: Path, files: Sequence[ManifestFile], caps: Caps) -> None:
    there = [status.st_size for _, status in _below(final) if stat.S_ISREG(status.st_mode)]
    total, count = sum(there) + sum(file.size for file in files), len(there) + len(files)
    if count > caps.max_files:
        raise LimitError(f"run {run_id}: {count} files, expected at most {caps.max_files}")
    if total > caps.max_bytes:
        raise LimitError(f"run {run_id}: {total} bytes, expected at most {caps.max_bytes}")


def _check_space(staging: Path, files: Sequence[ManifestFile]) -> None:
    there = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file())
    needed = sum(file.size for file in files) - there
    free = shutil.disk_usage(staging).free
    if needed > free:
        raise LimitError(
            f"{staging.parent}: {needed} bytes to fetch, {free} free on this disk",
            "free some space, then fetch again",
        )


@contextlib.contextmanager
def _staging(dest_root: Path, run_id: str) -> Iterator[Path]:
    """The folder where files arrive, ours alone; what an earlier fetch left is still in it."""
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
        yield staging
    finally:
        os.close(fd)


def _lock(fd: int, staging: Path, run_id: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(fd), staging.lstat()):
            return
    except (BlockingIOError, FileNotFoundError) as err:
        logger.info("%s: %s", staging, err)
    raise TransferError(f"run {run_id}: another fetch of it is at work", "wait for it")


def _sweep(staging: Path, wanted: set[str]) -> list[str]:
    """Remove all but wanted files, whole or in part; what that was."""
    removed = []
    for path, status in _below(staging):
        name = path.relative_to(staging).as_posix()
        is_wanted = name.replace(f"{PARTIAL_DIR}/", "") in wanted
        if not stat.S_ISDIR(status.st_mode) and not (is_wanted and stat.S_ISREG(status.st_mode)):
            path.unlink()
            removed.append(name)
    return removed


def _below(top: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below a folder, if it is one, with its ``lstat``; links are not followed."""
    folders = [top] if top.is_dir() else []
    while folders:
        for entry in list(os.scandir(folders.pop())):
            status = entry.stat(follow_symlinks=False)
            yield Path(entry.path), status
            if stat.S_ISDIR(status.st_mode):
                folders.append(Path(entry.path))


def _pull(
    transport: Transport,
    far: RunFolder,
    staging: Path,
    wanted: Sequence[ManifestFile],
    progress: Progress | None,
) -> None:
    total, largest = sum(file.size for file in wanted), max(file.size for file in wanted)
    transport.pull(
        far.path,
        staging,
        files=[file.path for file in wanted],
        max_file=largest,
        max_bytes=total + largest,  # rsync sends a file twice if its own check fails
        progress=(lambda done: progress(min(done, total), total)) if progress else None,
    )


def _verify(run_id: str, staging: Path, wanted: Sequence[ManifestFile]) -> None:
    """Raises a TransferError unless each file is what the manifest says; what is not, goes."""
    unasked = _sweep(staging, {file.path for file in wanted})
    if unasked:
        raise TransferError(f"run {run_id}: nobody asked for what came: {safe(unasked[0], 80)}")
    wrong = [file for file in wanted if not _is_as_declared(staging / file.path, file)]
    if wrong:
        named = ", ".join(file.path for file in wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        raise TransferError(
            f"run {run_id}: {len(wrong)} of {len(wanted)} files are missing or not as the manifest "
            f"says: {named}",
            "fetch again; nothing was promoted",
        )


def _is_as_declared(path: Path, file: ManifestFile) -> bool:
    try:
        if sha256_of(path) == (file.size, file.sha256):
            return True
        path.unlink()  # the same size and time would keep rsync from sending it again
    except OSError:
        return False
    return False


def _promote(staging: Path, final: Path, paths: Sequence[str]) -> None:
    """Rename what was verified into place, once the disk has it."""
    for path in paths:
        _sync(staging / path)
    below = [path for path, status in _below(staging) if stat.S_ISDIR(status.st_mode)]
    for folder in reversed(below):  # the deepest first
        if folder.name == PARTIAL_DIR:
            shutil.rmtree(folder)
        elif not any(folder.iterdir()):
            folder.rmdir()
    if not final.exists():
        staging.rename(final)
    else:
        for path in paths:
            (final / path).parent.mkdir(parents=True, exist_ok=True)
            (staging / path).rename(final / path)
        shutil.rmtree(staging)
    _sync(final.parent)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
