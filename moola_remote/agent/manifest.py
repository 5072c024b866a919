"""``manifest`` and ``checkpoints``: the hashes of what a run has written."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

from moola_remote.agent.constants import ENDED, SCHEMA, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import head, read_json, sha256_of, size_of
from moola_remote.agent.layout import OLD_OWN, OWN, Pod, Run
from moola_remote.agent.lazy import hashlib
from moola_remote.agent.locks import lock
from moola_remote.agent.state import settle, view
from moola_remote.agent.workdir import below, changed_paths, list_folder, seen

# Written by us beside the outputs; the second kind is what a killed write has left.
BESIDE = re.compile(r"(state|manifest)\.json|\.(state|manifest)\.json\.\d+\.aside")
CONTENT = 1 << 24  # bytes of all manifests of one answer together
KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device"}


def make_manifest(run: Run, between: Callable[[], None]) -> str:
    """Write ``manifest.json``; return its SHA-256.

    Everything below the run's folder is in it but the agent's own files: regular files, links,
    empty folders, and what can't be read with the reason. Of the working copy it is what the job
    added or changed.
    """
    lists: Dict[str, List[Json]] = {"files": [], "links": [], "folders": [], "unreadable": []}
    known = hashlib.sha256()
    for name, path in sorted(outputs(run)):
        between()
        with contextlib.suppress(FileNotFoundError):
            known.update(name + repr(seen(path)).encode())
            kind, entry = describe(path)
            lists[kind].append({**named(name), **entry})
    content = run.write("manifest.json", {"schema": SCHEMA, "run_id": run.id, **lists})
    run.write(".seen.json", {"signature": known.hexdigest()}, sync=False)
    return hashlib.sha256(content).hexdigest()


def outputs(run: Run) -> Iterator[Tuple[bytes, bytes]]:
    """Yield name and path of everything that a run has written, folders only where empty."""
    has_copy = (run.own / "workdir.json").is_file()
    ours = {os.fsencode(OWN), b"workdir"} if has_copy else {os.fsencode(OWN)}
    is_old = run.own == run.path
    for name, path in below(run.path, leave=ours):
        top, is_below, _ = name.partition(b"/")
        is_ours = (not is_below and BESIDE.fullmatch(os.fsdecode(top))) or (
            is_old and OLD_OWN.fullmatch(os.fsdecode(top))
        )
        if not is_ours:
            yield name, path
    if has_copy:
        for name, path in changed_paths(run):
            yield b"workdir/" + name, path


def describe(path: bytes) -> Tuple[str, Json]:
    """Return the list of the manifest that an entry belongs to, and its keys but the name.

    Raises:
        FileNotFoundError: it has gone meanwhile.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        raise
    except OSError as err:  # a path that is too long for the system; its size counts as some
        return "unreadable", {"reason": err.strerror or str(err), "size": 1}
    mode = found.st_mode
    if stat.S_ISLNK(mode):
        return "links", {"target": shown(os.readlink(path))}  # noqa: PTH115 - as bytes
    try:
        if stat.S_ISDIR(mode):
            list_folder(path)  # an empty one; this says whether it can be read
            return "folders", {}
        if stat.S_ISREG(mode):
            return "files", {"size": found.st_size, "sha256": sha256_of(path, found.st_size)}
    except FileNotFoundError:
        raise
    except OSError as err:
        return "unreadable", {"reason": err.strerror or str(err), "size": found.st_size}
    return "unreadable", {"reason": KINDS.get(stat.S_IFMT(mode), "no regular file"), "size": 0}


def named(name: bytes) -> Json:
    """Return the keys that name an entry: ``path``, and ``raw`` in base64 where it is no UTF-8."""
    try:
        return {"path": name.decode("utf-8")}
    except UnicodeDecodeError:
        return {"path": shown(name), "raw": base64.b64encode(name).decode("ascii")}


def shown(name: bytes) -> str:
    """Return bytes as text, with escapes for what is no UTF-8."""
    return name.decode("utf-8", "backslashreplace")


def manifest(pod: Pod, run: Run) -> Json:
    """Answer ``manifest``: its SHA-256, after it was made again if anything changed since."""
    state = settle(pod, run)
    if state["state"] not in ENDED:
        raise AgentError(
            "not_ended", f"run {run.id}: {state['state']}, a manifest is made at its end"
        )
    if is_finished(run, state) and is_current(run, state):
        return {"manifest_sha256": state["manifest_sha256"]}
    fd = lock_ended(run)
    try:
        state = run.state()  # its supervisor may have stored more before it left
        if not is_current(run, state):
            state["manifest_sha256"] = make_manifest(run, lambda: None)
            run.write("state.json", state)
    finally:
        os.close(fd)
    return {"manifest_sha256": state["manifest_sha256"]}


def manifests(pod: Pod, asked: Json) -> Json:
    """Answer ``manifests``: that of each run, or why there is none.

    Its text goes with it where the asker has another one, as far as those come to no more than
    `CONTENT` in all: `have` is the SHA-256 of what lies there by run, or anything else. With
    `states` each row has the run's state too, where there is such a run.
    """
    found = {str(run_id): try_manifest(pod, run_id) for run_id in asked["runs"]}
    room, have = CONTENT, asked.get("have") or {}
    for run_id, row in found.items():
        run = Run(pod.runs / run_id)
        is_there = run_id not in have or have[run_id] == row.get("manifest_sha256")
        if not is_there and "error" not in row and size_of(run.manifest) <= room:
            with contextlib.suppress(OSError):
                row["content"] = head(run.manifest, room).decode("ascii", "replace")
                room -= len(row["content"])
        if asked.get("states"):
            with contextlib.suppress(AgentError, OSError):
                row["state"] = view(pod, pod.run(run_id).state())
    return {"manifests": found}


def try_manifest(pod: Pod, run_id: Any) -> Json:
    """Return the answer to ``manifest``, or its error."""
    try:
        return manifest(pod, pod.run(run_id))
    except (AgentError, OSError) as err:
        return {"error": str(err)}


def is_finished(run: Run, state: Json) -> bool:
    """Return whether nothing of ours writes any more: ``on_finish`` has ended, or there is none."""
    return not run.spec().get("on_finish") or state.get("on_finish") is not None


def is_current(run: Run, state: Json) -> bool:
    """Return whether the manifest names what lies in the run's folder now; nothing is hashed."""
    if state.get("manifest_sha256") is None or not run.manifest.is_file():
        return False
    known = (read_json(run.own / ".seen.json") or {}).get("signature")
    if known is None:  # an older agent's: it was made of what was there, and nothing is known since
        return run.own == run.path
    now = hashlib.sha256()
    for name, path in sorted(outputs(run)):
        with contextlib.suppress(FileNotFoundError):
            now.update(name + repr(seen(path)).encode())
    return bool(now.hexdigest() == known)


def lock_ended(run: Run) -> int:
    """Return the lock of a run that has ended.

    Raises:
        AgentError: its supervisor still lives, for what comes after the end.
    """
    fd = lock(run.lock, patience_s=2.0)
    if fd is None:
        raise AgentError("busy", f"run {run.id}: its on_finish command is still running")
    return fd


def checkpoints(run: Run, asked: Json) -> Json:
    """Answer ``checkpoints``: the files of complete ones that the asker doesn't know."""
    known = set(asked.get("known") or [])
    found: List[Tuple[str, Json]] = []
    top = run.path / "checkpoints"
    for name, path in below(top) if top.is_dir() else ():
        keys = named(b"checkpoints/" + name)
        # What begins with a dot is not finished.
        is_whole = not any(part.startswith(b".") for part in name.split(b"/"))
        if is_whole and keys["path"] not in known:
            with contextlib.suppress(FileNotFoundError):
                kind, entry = describe(path)
                if kind == "files":
                    found.append((os.fsdecode(path), {**keys, **entry}))
    # The run keeps the latest few: one that was removed meanwhile is not sent in part.
    return {"files": [file for path, file in found if Path(path).parent.is_dir()]}
