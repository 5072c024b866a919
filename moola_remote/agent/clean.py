"""``clean``: remove ended runs, and what no run needs any more."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Dict, List, Set, Tuple

from moola_remote.agent.bytecode import unneeded_bytecode
from moola_remote.agent.constants import ENDED, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import bytes_of, put_aside, read_json, reservation_of
from moola_remote.agent.layout import Pod, Run, stored_state
from moola_remote.agent.locks import is_locked, locked
from moola_remote.agent.manifest import lock_ended
from moola_remote.agent.probe import complete
from moola_remote.agent.processes import living_members
from moola_remote.agent.start import discard, sweep
from moola_remote.agent.state import settle
from moola_remote.agent.unfinished import tidy

KINDS = {"code": "code", "data": "data", "environment": "env", "checkpoints": "checkpoints"}
# What came or was reserved so lately, since the last run that named it, may be waiting for its
# start by another client; a transfer that was cut may be continued.
STALE_S = 86400.0


def clean(pod: Pod, asked: Json) -> Json:
    """Remove ended runs, and the code, data and environments that no run which stays has named.

    The newest of each kind stays: the next deploy builds on it. So does, for a day, what came or
    was reserved since the last run that named it, and what is left of a transfer that was cut.
    """
    pod.make()
    for name in KINDS.values():
        sweep(pod.root / name)
    runs = [pod.run(run_id) for run_id in asked.get("runs") or []]
    for run in runs:
        require_rest(pod, run)
    with locked(pod.queue_lock):
        paths = [run.path for run in runs]
        specs = [(path, read_json(path) or {}) for path in pod.runs.glob("[!.]*/spec.json")]
        for kind, name in KINDS.items():
            paths += unneeded(kind, pod.root / name, specs, {run.id for run in runs})
        removed = [
            {"kind": path.parent.name, "name": path.name, "bytes": bytes_of(path)} for path in paths
        ]
        aside = [] if asked.get("dry_run") else [put_aside(path) for path in paths]
        tidy(pod)
    for path in aside:
        discard(path)
    if not asked.get("dry_run"):
        for path in unneeded_bytecode(pod.root):
            discard(path)
    return {"removed": removed}


def require_rest(pod: Pod, run: Run) -> None:
    if stored_state(run.path) is None:
        word = "its state.json can't be read, and it lives"
        is_over = not is_locked(run.lock) and not living_members(run.id, None)
    else:
        word = settle(pod, run)["state"]
        is_over = word in ENDED
    if not is_over:
        raise AgentError("not_ended", f"run {run.id}: {word}; it is not removed")
    os.close(lock_ended(run))


def unneeded(
    kind: str, folder: Path, specs: List[Tuple[Path, Json]], going: Set[str]
) -> List[Path]:
    needed: Set[str] = set()
    named: Dict[str, float] = {}  # by digest, when the last run that names it was started
    for path, spec in specs:
        digest = str(spec.get(kind))
        named[digest] = max(named.get(digest, 0.0), changed_at(path))
        if path.parent.name not in going:
            needed.add(digest)
    latest = time.time() - STALE_S
    idle = [
        folder / digest
        for digest in complete(folder)[:-1]
        if digest not in needed and wanted_at(folder / digest) <= max(latest, named.get(digest, 0))
    ]
    cut = [path for path in folder.glob(".incoming-*") if 0 < changed_at(path) < latest]
    return [*idle, *cut]


def wanted_at(tree: Path) -> float:
    """Return when a tree came, or was last reserved."""
    return max(changed_at(tree.with_name(f"{tree.name}.json")), changed_at(reservation_of(tree)))


def changed_at(path: Path) -> float:
    """Return when it was changed; 0 if it is not there."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0
