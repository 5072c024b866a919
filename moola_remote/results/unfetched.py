"""What would be lost with a pod, or with a run on it: outputs that have no verified copy here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from moola_remote.agent_client import client, verbs
from moola_remote.config.paths import MANIFEST
from moola_remote.errors import RunLostError, TransferError
from moola_remote.files.hashing import HashCache
from moola_remote.protocol.manifest import Manifest, ManifestFile, read_manifest
from moola_remote.results.manifest_file import manifest_content

if TYPE_CHECKING:
    from moola_remote.protocol.state import RunState
    from moola_remote.ssh.transport import Transport

RUNS_A_CALL = 100
MAX_COMMAND = 60


@dataclass(frozen=True)
class UnfetchedRun:
    """One run with something to lose.

    Attributes:
        run_id: whose it is.
        what: one line, safe: how it ended, and its command.
        why: one line, safe: it is active, or its files were not fetched, or can't be known.
        has_ended: whether it could be fetched.
        paths: of the declared outputs that have no copy here; empty where that can't be known yet.
        bytes: of those; of its log and events where it has not ended.
    """

    run_id: str
    what: str
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
    """Return the runs that would lose something if they were removed from the pod now.

    A copy counts if its SHA-256 is the manifest's, and the manifest is the run's own, which names
    everything that lies in its folder now: each file here is read, unless `cache` knows it
    unchanged.

    Args:
        transport: the connection.
        agent: on the pod.
        states: the runs to look at.
        results: the folder of fetched runs.
        cache: a file that remembers the hashes of files which have not changed.
    """
    states = list(states)
    ended = [state.run_id for state in states if state.has_ended]
    here = {run_id: _manifest_here(results / run_id) for run_id in ended}
    there: dict[str, tuple[str, bytes]] = {}
    for start in range(0, len(ended), RUNS_A_CALL):
        some = ended[start : start + RUNS_A_CALL]
        have = {run_id: _sha256(here[run_id]) for run_id in some}
        there |= verbs.make_manifests(agent, have)
    hashes = HashCache(cache)
    found = []
    for state in states:
        digest, content = there.get(state.run_id, (None, b""))
        now = structs.replace(state, manifest_sha256=digest)
        known = [here.get(state.run_id, b""), content]
        found.append(_look(transport, agent, now, results / state.run_id, known, hashes))
    hashes.save()
    return [one for one in found if one is not None]


def _manifest_here(folder: Path) -> bytes:
    try:
        return (folder / MANIFEST).read_bytes()
    except OSError:
        return b""


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _look(
    transport: Transport,
    agent: client.Agent,
    state: RunState,
    folder: Path,
    known: Sequence[bytes],
    hashes: HashCache,
) -> UnfetchedRun | None:
    what = what_of(state)
    if not state.has_ended:
        size = state.log_size + state.events_size
        return UnfetchedRun(state.run_id, what, f"is {state.state}", False, (), size)
    try:
        manifest, is_here = _declared(transport, agent, state, known)
    except (TransferError, RunLostError) as err:
        return UnfetchedRun(state.run_id, what, err.message, True, (), state.log_size)
    files = [file for file in manifest.files if not _is_saved(folder / file.name, file, hashes)]
    # Links and empty folders are saved with the manifest that names them.
    others = [] if is_here else [*manifest.links, *manifest.folders]
    unreadable = [one for one in manifest.unreadable if one.size]
    missing = [entry.shown for entry in (*files, *others, *unreadable)]
    if not missing:
        return None
    why = f"{len(missing)} of {len(manifest.entries)} files are not here"
    if unreadable:
        why += f", {len(unreadable)} can't be read on the pod"
    size = sum(file.size for file in files) + sum(one.size for one in unreadable)
    return UnfetchedRun(state.run_id, what, why, True, tuple(missing), size)


def what_of(state: RunState) -> str:
    """Return what tells whose run it is: a pod's runs may be of several projects."""
    command = state.command or ""
    cut = command if len(command) <= MAX_COMMAND else f"{command[: MAX_COMMAND - 3]}..."
    return ", ".join(filter(None, (state.state if state.has_ended else "", cut)))


def _declared(
    transport: Transport, agent: client.Agent, state: RunState, known: Sequence[bytes]
) -> tuple[Manifest, bool]:
    """Return the run's manifest, and whether the copy here is the same.

    Args:
        transport: the connection.
        agent: on the pod.
        state: of the run, with the SHA-256 of its manifest now.
        known: the copy here, and what came with those of other runs; empty where there is none.
    """
    for content in known:
        if _sha256(content) == state.manifest_sha256:
            return read_manifest(content, state.run_id), content is known[0]
    return read_manifest(manifest_content(transport, agent, state), state.run_id), False


def _is_saved(path: Path, file: ManifestFile, hashes: HashCache) -> bool:
    try:
        return hashes.sha256_of(path, path.lstat()) == (file.size, file.sha256)
    except OSError:
        return False
