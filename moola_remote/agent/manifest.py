"""``manifest`` and ``checkpoints``: the hashes of what a run has written."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Callable, Iterator, List

from moola_remote.agent.constants import ENDED, SCHEMA, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import sha256_of
from moola_remote.agent.layout import Pod, Run
from moola_remote.agent.lazy import hashlib
from moola_remote.agent.locks import lock
from moola_remote.agent.state import settle


def make_manifest(run: Run, between: Callable[[], None]) -> str:
    """Write ``manifest.json``; its SHA-256."""
    files: List[Json] = []
    for path in files_below(run.path):
        between()
        with contextlib.suppress(FileNotFoundError):
            files.append(manifest_entry(run, path))
    files.sort(key=lambda file: os.fsencode(file["path"]))
    content = run.write("manifest.json", {"schema": SCHEMA, "run_id": run.id, "files": files})
    return hashlib.sha256(content).hexdigest()


def manifest_entry(run: Run, path: Path) -> Json:
    """A file as a manifest has it.

    Raises:
        FileNotFoundError: it has gone meanwhile.
    """
    name = path.relative_to(run.path).as_posix()
    return {"path": name, "size": path.stat().st_size, "sha256": sha256_of(path)}


def files_below(top: Path) -> Iterator[Path]:
    """Regular files that belong to a result: nothing with a dot in front, no links, no state."""
    for folder, names, files in os.walk(top):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            path = Path(folder, name)
            is_ours = path.parent == top and name in ("state.json", "manifest.json")
            if (
                not name.startswith(".")
                and not is_ours
                and not path.is_symlink()
                and path.is_file()
            ):
                yield path


def manifest(pod: Pod, run: Run) -> Json:
    state = settle(pod, run)
    if state["state"] not in ENDED:
        raise AgentError(
            "not_ended", f"run {run.id}: {state['state']}, a manifest is made at its end"
        )
    if state.get("manifest_sha256") is None or not run.manifest.is_file():
        fd = lock_ended(run)
        state["manifest_sha256"] = make_manifest(run, lambda: None)
        run.write("state.json", state)
        os.close(fd)
    return {"manifest_sha256": state["manifest_sha256"]}


def lock_ended(run: Run) -> int:
    """The lock of a run that has ended.

    Raises:
        AgentError: its supervisor still lives, for what comes after the end.
    """
    fd = lock(run.lock, patience_s=2.0)
    if fd is None:
        raise AgentError("busy", f"run {run.id}: its on_finish command is at work")
    return fd


def checkpoints(run: Run, asked: Json) -> Json:
    """The files of complete checkpoints that the asker doesn't know, also while the run goes on."""
    known = set(asked.get("known") or [])
    files: List[Json] = []
    for path in files_below(run.path / "checkpoints"):
        with contextlib.suppress(FileNotFoundError):
            if path.relative_to(run.path).as_posix() not in known:
                files.append(manifest_entry(run, path))
    # The run keeps the latest few: one that was removed meanwhile is not told in part.
    return {"files": [file for file in files if (run.path / file["path"]).parent.is_dir()]}
