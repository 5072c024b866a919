"""Brings a run's files home: staged, verified one by one against the manifest, then renamed.

The pod is not trusted. Nothing is promoted unless everything that was asked for is as the manifest
says; a fetch that was cut off goes on from its staging folder. A file that is there already with
the same content is left alone; one with other content is never replaced: the fetch stops.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from moola_remote.agent_client import client, verbs
from moola_remote.config.paths import RunPaths
from moola_remote.errors import TransferError
from moola_remote.protocol import state
from moola_remote.protocol.manifest import MANIFEST, STATE, ManifestFile, read_manifest
from moola_remote.results.manifest_file import manifest_content
from moola_remote.results.staging import promote, staging_folder, sweep
from moola_remote.results.verify import (
    DEFAULT_CAPS,
    Caps,
    check_caps,
    check_space,
    is_there,
    verify,
)
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.ssh.transport import Transport
What = Literal["results", "logs", "checkpoints", "all"]
# Bytes so far, bytes in all.
Progress = Callable[[int, int], None]
HASH_S = 600.0


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
    agent: client.Agent,
    run_id: str,
    dest_root: Path,
    *,
    what: What = "results",
    caps: Caps = DEFAULT_CAPS,
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
    state = verbs.get_state(agent, run_id)
    content = manifest_content(transport, agent, state)
    files = _chosen(read_manifest(content, run_id).files, what)
    far = agent.folder.run(run_id)
    told = state.model_dump_json(exclude={"now", "queue_position"}).encode()
    beside = {MANIFEST: content, STATE: told}
    return _bring(_Way(transport, far, dest_root), files, beside, caps=caps, progress=progress)


def fetch_checkpoints(
    transport: Transport,
    agent: client.Agent,
    run_id: str,
    dest_root: Path,
    *,
    known: Collection[str] = (),
    caps: Caps = DEFAULT_CAPS,
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
    if not re.fullmatch(state.RUN_ID, run_id):
        raise TransferError(f"run {safe(run_id, 80)}: not a run id")


@dataclass(frozen=True)
class _Way:
    """From a run's folder on the pod to the folder of fetched runs."""

    transport: Transport
    far: RunPaths
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
    wanted = [file for file in files if not is_there(final / file.path, file)]
    check_caps(run_id, final, wanted, caps)
    if wanted:
        with staging_folder(way.dest_root, run_id) as staging:
            sweep(staging, {file.path for file in wanted})
            check_space(staging, wanted)
            _pull(way.transport, way.far, staging, wanted, progress)
            verify(run_id, staging, wanted)
            for name, content in beside.items():
                (staging / name).write_bytes(content)
            promote(staging, final, [*(file.path for file in wanted), *beside])
    num_bytes = sum(file.size for file in wanted)
    seconds = time.monotonic() - started
    return Fetched(run_id, final, len(wanted), num_bytes, len(files) - len(wanted), seconds)


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
        files=[file.path for file in wanted],
        max_file=largest,
        max_bytes=total + largest,  # rsync sends a file twice if its own check fails
        progress=(lambda done: progress(min(done, total), total)) if progress else None,
    )
