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
import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from moola_remote import __version__
from moola_remote.agent_client import client, verbs
from moola_remote.config.paths import MANIFEST, STATE
from moola_remote.config.typed import json_of
from moola_remote.errors import TransferError
from moola_remote.files.hashing import HashCache
from moola_remote.files.whole import Whole
from moola_remote.protocol import state
from moola_remote.results.fetched import DEFAULT_CAPS, Caps, Fetched
from moola_remote.results.manifest_file import manifest_content
from moola_remote.results.way import Way
from moola_remote.text.sanitize import safe

# What only brings files is imported where some come: `bring`, and the manifest's own models.
if TYPE_CHECKING:
    from moola_remote.results.bring import Progress
    from moola_remote.results.selection import What
    from moola_remote.ssh.transport import Transport
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
    way = Way(transport, agent, run_id, dest_root, HashCache(cache))
    content = manifest_content(transport, agent, state, way.read(MANIFEST), named)
    stored = json_of(
        {
            key: value
            for key, value in structs.asdict(state).items()
            if key not in ("now", "queue_position")
        }
    )
    beside = {MANIFEST: content, STATE: stored}
    # Of this text, read by this version.
    name = f"{__version__} {hashlib.sha256(content).hexdigest()} {what} {way.final}"
    whole = Whole(cache.with_name(f"whole-{what}") if cache else None, name)
    fetched = _unchanged(way, whole, beside, caps)
    if fetched is not None:
        return fetched
    from moola_remote.protocol.manifest import read_manifest
    from moola_remote.results.bring import bring
    from moola_remote.results.selection import chosen_of

    chosen, left = chosen_of(read_manifest(content, run_id), what)
    fetched = bring(way, chosen, beside, left, caps, progress)
    if not (left or fetched.missing or len(chosen.entries) > len(chosen.files)):
        final = str(way.final)
        whole.note([f"{final}/{file.name}" for file in chosen.files], way.hashes)
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
    from moola_remote.protocol.manifest import read_manifest
    from moola_remote.results.bring import bring
    from moola_remote.results.selection import chosen_of

    _check_run_id(run_id)
    answer = agent.call("checkpoints", run_id, stdin={"known": sorted(known)}, timeout_s=HASH_S)
    table = {"schema": 1, "run_id": run_id, "files": answer.get("files")}
    manifest, _ = chosen_of(read_manifest(json.dumps(table).encode(), run_id), "checkpoints")
    way = Way(transport, agent, run_id, dest_root, HashCache(None))
    fetched = bring(way, manifest, {}, (), caps, None)
    if fetched.missing:
        raise TransferError(f"run {run_id}: {fetched.missing[0].path}: {fetched.missing[0].why}")
    return [file.path for file in manifest.files]


def _check_run_id(run_id: str) -> None:
    if not re.fullmatch(state.RUN_ID, run_id):
        raise TransferError(f"run {safe(run_id, 80)}: not a run id")


def _unchanged(way: Way, whole: Whole, beside: Mapping[str, bytes], caps: Caps) -> Fetched | None:
    """Return the fetch of what all lies here as an earlier one verified it; None where it doesn't.

    Files are looked at, and not read.
    """
    started = time.monotonic()
    found = whole.look()
    if found is None or not 0 < found.files <= caps.max_files or found.size > caps.max_bytes:
        return None
    way.write(beside)
    seconds = time.monotonic() - started
    return Fetched(way.run_id, way.final, 0, 0, found.files, seconds, changed_ns=found.changed_ns)
