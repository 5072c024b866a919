"""What would be lost with a pod, or with a run on it: outputs that have no verified copy here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.agent_client import client
from moola_remote.errors import RunLostError, TransferError
from moola_remote.files.hashing import HashCache
from moola_remote.protocol.manifest import MANIFEST, ManifestFile, read_manifest
from moola_remote.results.manifest_file import manifest_content

if TYPE_CHECKING:
    from moola_remote.protocol.state import RunState
    from moola_remote.ssh.transport import Transport


@dataclass(frozen=True)
class UnfetchedRun:
    """One run with something to lose.

    Attributes:
        run_id: whose it is.
        why: one line, safe: it goes on, or its files were not fetched, or can't be known.
        has_ended: whether it could be fetched.
        paths: of the declared outputs that have no copy here; empty where that can't be known yet.
        bytes: of those; of its log and events where it has not ended.
    """

    run_id: str
    why: str
    has_ended: bool
    paths: tuple[str, ...]
    bytes: int


def find_unsaved(
    transport: Transport,
    agent: client.Agent,
    states: Iterable[RunState],
    results: Path,
    *,
    cache: Path | None = None,
) -> list[UnfetchedRun]:
    """The runs that would lose something if they were removed from the pod now.

    A copy counts if its SHA-256 is the manifest's, and the manifest is the one that the run's state
    names: each file here is read, unless `cache` knows it unchanged.

    Args:
        transport: the connection.
        agent: on the pod.
        states: the runs to look at.
        results: the folder of fetched runs.
        cache: a file that remembers the hashes of files which have not changed.
    """
    hashes = HashCache(cache)
    found = [_look(transport, agent, state, results / state.run_id, hashes) for state in states]
    hashes.save()
    return [one for one in found if one is not None]


def _look(
    transport: Transport, agent: client.Agent, state: RunState, folder: Path, hashes: HashCache
) -> UnfetchedRun | None:
    if not state.has_ended:
        size = state.log_size + state.events_size
        return UnfetchedRun(state.run_id, f"is {state.state}", False, (), size)
    try:
        declared = list(_declared(transport, agent, state, folder))
    except (TransferError, RunLostError) as err:
        return UnfetchedRun(state.run_id, err.message, True, (), state.log_size)
    missing = [file for file in declared if not _is_saved(folder / file.path, file, hashes)]
    if not missing:
        return None
    paths = tuple(file.path for file in missing)
    why = f"{len(missing)} of {len(declared)} files are not here"
    return UnfetchedRun(state.run_id, why, True, paths, sum(file.size for file in missing))


def _declared(
    transport: Transport, agent: client.Agent, state: RunState, folder: Path
) -> Iterator[ManifestFile]:
    """The files of the run's manifest; its copy here serves where it is the same."""
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != state.manifest_sha256:
        content = manifest_content(transport, agent, state)
    yield from read_manifest(content, state.run_id).files


def _is_saved(path: Path, file: ManifestFile, hashes: HashCache) -> bool:
    try:
        return hashes.sha256_of(path, path.lstat()) == (file.size, file.sha256)
    except OSError:
        return False
