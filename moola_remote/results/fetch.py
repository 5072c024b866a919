"""Bring a run's files home: staged, verified one by one against the manifest, then renamed.

The pod is not trusted. A file is promoted only if it is as the manifest says; one that is missing
or differs is named, costs no other, and comes with the next fetch. A fetch that was cut off goes
on from its staging folder. A file that already exists with the same content is left alone; one
with other content is never replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote import __version__
from moola_remote.agent_client import client, verbs
from moola_remote.config.paths import RunPaths
from moola_remote.errors import PartialTransferError, TransferError
from moola_remote.files import atomic
from moola_remote.files.hashing import HashCache
from moola_remote.protocol import state
from moola_remote.protocol.manifest import (
    MANIFEST,
    STATE,
    Manifest,
    ManifestFile,
    read_manifest,
)
from moola_remote.results.fetched import Fetched
from moola_remote.results.links import make_links_and_folders
from moola_remote.results.manifest_file import manifest_content
from moola_remote.results.selection import What, chosen_of
from moola_remote.results.staging import promote, staging_folder, sweep
from moola_remote.results.verify import (
    DEFAULT_CAPS,
    Caps,
    Missing,
    check_caps,
    check_space,
    status_of,
    verify,
)
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.ssh.transport import Transport
# Bytes so far, bytes in all.
Progress = Callable[[int, int], None]
HASH_S = 600.0


def fetch_run(  # noqa: PLR0913 - each has its own source
    transport: Transport,
    agent: client.Agent,
    run_id: str,
    dest_root: Path,
    *,
    what: What = "results",
    caps: Caps = DEFAULT_CAPS,
    progress: Progress | None = None,
    known: state.RunState | None = None,
    named: tuple[str, bytes] | None = None,
    cache: Path | None = None,
) -> Fetched:
    """Bring the files of a run that has ended to ``dest_root/<run id>``.

    Args:
        transport: the connection.
        agent: on the pod.
        run_id: a whole run id.
        dest_root: where fetched runs lie; made if need be.
        what: `results` is all but checkpoints, `logs` the log and the events.
        caps: the most that may come.
        progress: given the bytes so far.
        known: the run's last state, where it was asked for already.
        named: its manifest as the pod answered with that, for the one that lies here.
        cache: a file that remembers the hashes of what lies here and has not changed.

    Raises:
        TransferError: the run is active, or what the pod sends is not what it was asked for.
        LimitError: a cap, or the space on this disk, is too small.
        UnreachableError: the connection was lost; the next fetch resumes from here.
    """
    _check_run_id(run_id)
    state = known or verbs.get_state(agent, run_id)
    way = _Way(transport, agent.folder.run(run_id), dest_root, HashCache(cache))
    content = manifest_content(transport, agent, state, way.read(MANIFEST), named)
    stored = state.model_dump_json(exclude={"now", "queue_position"}).encode()
    beside = {MANIFEST: content, STATE: stored}
    # Of this text, read by this version.
    name = f"{__version__} {hashlib.sha256(content).hexdigest()} {what} {way.final}"
    fetched = _unchanged(way, name, beside, caps)
    if fetched is not None:
        return fetched
    chosen, left = chosen_of(read_manifest(content, run_id), what)
    fetched = _bring(way, chosen, beside, left, caps, progress)
    if not (left or fetched.missing or len(chosen.entries) > len(chosen.files)):
        final = str(way.final)
        way.hashes.note_whole(name, [f"{final}/{file.name}" for file in chosen.files])
    with contextlib.suppress(OSError):  # a full disk costs the memory alone
        way.hashes.save()
    return fetched


def fetch_checkpoints(
    transport: Transport,
    agent: client.Agent,
    run_id: str,
    dest_root: Path,
    *,
    known: Collection[str] = (),
    caps: Caps = DEFAULT_CAPS,
) -> list[str]:
    """Bring the checkpoints that a running run has completed, verified by what the pod says.

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
        UnreachableError: the connection was lost; the next fetch resumes from here.
    """
    _check_run_id(run_id)
    answer = agent.call("checkpoints", run_id, stdin={"known": sorted(known)}, timeout_s=HASH_S)
    table = {"schema": 1, "run_id": run_id, "files": answer.get("files")}
    manifest, _ = chosen_of(read_manifest(json.dumps(table).encode(), run_id), "checkpoints")
    way = _Way(transport, agent.folder.run(run_id), dest_root)
    fetched = _bring(way, manifest, {}, (), caps, None)
    if fetched.missing:
        raise TransferError(f"run {run_id}: {fetched.missing[0].path}: {fetched.missing[0].why}")
    return [file.path for file in manifest.files]


def _check_run_id(run_id: str) -> None:
    if not re.fullmatch(state.RUN_ID, run_id):
        raise TransferError(f"run {safe(run_id, 80)}: not a run id")


@dataclass(frozen=True)
class _Way:
    """From a run's folder on the pod to the folder of fetched runs."""

    transport: Transport
    far: RunPaths
    dest_root: Path
    hashes: HashCache = field(default_factory=lambda: HashCache(None))

    @property
    def run_id(self) -> str:
        return self.far.path.name

    @property
    def final(self) -> Path:
        """The run's folder; where the user has a link to a folder there, that one.

        Raises:
            TransferError: something else lies there.
        """
        path = self.dest_root / self.run_id
        if not path.is_dir() and os.path.lexists(path):
            raise TransferError(f"{path}: expected a folder", "move it away, then fetch again")
        return path.resolve() if path.is_symlink() else path

    def read(self, name: str) -> bytes:
        """Return a file that we wrote beside those of the run; nothing where there is none."""
        try:
            return (self.final / name).read_bytes()
        except OSError:
            return b""


def _unchanged(way: _Way, name: str, beside: Mapping[str, bytes], caps: Caps) -> Fetched | None:
    """Return the fetch of what all lies here as an earlier one verified it; None where it doesn't.

    Files are looked at, and read no more than `HashCache` has it.
    """
    started = time.monotonic()
    found = way.hashes.unchanged(name, f"{way.final}/")
    if found is None or not 0 < found.files <= caps.max_files or found.size > caps.max_bytes:
        return None
    _write_beside(way, beside)
    seconds = time.monotonic() - started
    return Fetched(way.run_id, way.final, 0, 0, found.files, seconds, changed_ns=found.changed_ns)


def _bring(
    way: _Way,
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
        with staging_folder(way.dest_root, way.run_id) as staging:
            sweep(staging, {file.name for file in wanted})
            check_space(staging, wanted)
            with contextlib.suppress(PartialTransferError):  # what is missing is seen below
                _pull(way.transport, way.far, staging, wanted, progress)
            not_come = verify(f"run {way.run_id}", staging, wanted)
            lost = {one.path for one in not_come}
            came = [file for file in wanted if file.shown not in lost]
            if came:
                promote(staging, way.final, [one.name for one in came], is_whole=not not_come)
    if came or (not wanted and (beside or manifest.entries)):
        way.final.mkdir(mode=0o700, parents=True, exist_ok=True)
        missing += make_links_and_folders(way.final, manifest)
        _write_beside(way, beside)
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
    way: _Way, files: Sequence[ManifestFile]
) -> tuple[list[ManifestFile], list[Missing], int]:
    """Return the files that are not here, those whose place is taken, the last change of others."""
    final = str(way.final)
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


def _write_beside(way: _Way, beside: Mapping[str, bytes]) -> None:
    for name, content in beside.items():
        path = way.final / name
        if way.read(name) != content:
            atomic.write(path, content)


def _pull(
    transport: Transport,
    far: RunPaths,
    staging: Path,
    wanted: Sequence[ManifestFile],
    progress: Progress | None,
) -> None:
    total, largest = sum(file.size for file in wanted), max(file.size for file in wanted)
    transport.pull(
        far.path,
        staging,
        files=[file.name for file in wanted],
        max_file=largest,
        max_bytes=total + largest,  # rsync sends a file twice if its own check fails
        progress=(lambda done: progress(min(done, total), total)) if progress else None,
    )
