"""``start``: make a run, exactly once for each id."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import Any, Dict

from moola_remote.agent.constants import COMMAND_CHARS, ENDED, MAX_GPUS, SCHEMA, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import put_aside, sync_folder, write_json
from moola_remote.agent.layout import OWN, Pod, Run, as_text, check_run_id
from moola_remote.agent.lazy import shutil, subprocess
from moola_remote.agent.locks import locked
from moola_remote.agent.processes import process
from moola_remote.agent.redaction import Mask
from moola_remote.agent.state import settle, view
from moola_remote.agent.trees import check_digest
from moola_remote.agent.unfinished import forget, next_ticket

EMPTY = (".lock", ".job.lock", ".supervisor.log")


def start(pod: Pod, spec: Json) -> Json:
    """Start a run unless its folder is there; the process that makes the folder starts it.

    The folder appears by rename, complete: a start that is cut off leaves nothing, or a queued run
    that the next call of this file continues.
    """
    check_spec(spec)
    secrets = take_secrets(spec)
    pod.make()
    run = Run(pod.runs / spec["run_id"])
    started = not run.path.exists() and make_run(pod, run, spec, secrets)
    return {"started": started, "state": view(pod, settle(pod, run))}


def check_spec(spec: Json) -> None:
    check_run_id(spec.get("run_id"))
    argv, env = spec.get("argv"), spec.get("env") or {}
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
        raise AgentError("bad_request", "spec: argv: expected a list of strings, one at least")
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise AgentError("bad_request", "spec: env: expected an object of strings")
    count = spec.get("gpus")
    if count is not None and (not isinstance(count, int) or not 0 < count <= MAX_GPUS):
        raise AgentError("bad_request", f"spec: gpus: expected 1 to {MAX_GPUS}")
    if count is not None and spec.get("gpu") is not None:
        raise AgentError("bad_request", "spec: gpu and gpus: expected one of them")
    for kind in ("code", "data", "environment", "checkpoints"):
        if spec.get(kind) is not None:
            check_digest(spec[kind])
    if spec.get("parent") is not None:
        check_run_id(spec["parent"])
    if (spec.get("limits") or {}).get("max_cost_usd") and not spec.get("price_per_hour"):
        message = "spec: limits.max_cost_usd: expected a price_per_hour to reckon with"
        raise AgentError("bad_request", message)


def take_secrets(spec: Json) -> Dict[str, str]:
    """Return a spec's secret values; the spec, which is kept and fetched, keeps their names."""
    secrets = spec.pop("secrets", None) or {}
    is_object = isinstance(secrets, dict)
    for name, value in secrets.items() if is_object else [("secrets", None)]:
        is_name = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and not name.startswith("MOOLA_")
        if not is_name or not is_environment_text(value):
            raise AgentError("bad_request", f"spec: secret {name!r}: expected NAME: value")
    spec["secret_names"] = sorted(secrets)
    return dict(secrets)


def is_environment_text(value: Any) -> bool:
    """Return whether a job can be given it."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def make_run(pod: Pod, run: Run, spec: Json, secrets: Dict[str, str]) -> bool:
    """Return whether it was we who made the folder."""
    sweep(pod.runs)
    aside = pod.runs / f".new-{run.id}-{os.getpid()}"
    aside.mkdir(mode=0o700)
    try:
        own = aside / OWN
        own.mkdir(mode=0o700)
        for path in (aside / "log", aside / "events.jsonl", *(own / name for name in EMPTY)):
            path.touch(mode=0o600)
        write_json(aside / "spec.json", spec, folder=False)  # that is flushed with the state
        if secrets:
            write_json(own / Mask.FILE, secrets)
        if spec.get("parent"):
            take_checkpoints(pod, spec, aside / "checkpoints")
        with locked(pod.queue_lock):
            if run.path.exists():
                return False
            forget(pod, run.id)
            state = new_state(run.id, next_ticket(pod, run.id), spec)
            write_json(aside / "state.json", state)
            aside.rename(run.path)
    finally:
        if aside.exists():
            shutil.rmtree(aside, ignore_errors=True)
    sync_folder(pod.runs)
    if spec.get("checkpoints"):
        taken = put_aside(pod.root / "checkpoints" / spec["checkpoints"])
        shutil.rmtree(taken, ignore_errors=True)
    return True


def sweep(folder: Path) -> None:
    """Remove what a start or a `clean` that was killed has left; a start's holds its secrets."""
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 - thousands of names
    for name in names:
        pid = name.rpartition("-")[2]
        is_aside = name.startswith((".new-", ".removed-")) and pid.isdigit()
        if is_aside and process(int(pid)) is None:
            discard(folder / name)


def discard(path: Path) -> None:
    """Remove a folder of any depth and modes; of a link in its place the link alone."""
    if path.is_symlink():
        path.unlink()
        return
    for can_open in (True, False):
        try:
            shutil.rmtree(path, ignore_errors=True)
        except RecursionError:  # before Python 3.13, below some 900 folders
            subprocess.run(["rm", "-rf", "--", str(path)], capture_output=True, check=False)
        if can_open and path.exists():
            open_folders(path)


def open_folders(top: Path) -> None:
    """Let the owner change every folder below `top`, as far as that can be."""
    todo = [os.fspath(top)]
    while todo:
        folder = todo.pop()
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)  # noqa: PTH101 - many
            with os.scandir(folder) as entries:
                todo += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def take_checkpoints(pod: Pod, spec: Json, folder: Path) -> None:
    """Give a run files of its own to resume from: its parent's here, or those that were sent.

    Raises:
        AgentError: there are none, or the parent still runs.
    """
    if spec.get("checkpoints"):
        source = pod.root / "checkpoints" / spec["checkpoints"]
    else:
        parent = pod.run(spec["parent"])
        state = settle(pod, parent)
        if state["state"] not in ENDED:
            message = f"run {parent.id}: {state['state']}, it is still running"
            raise AgentError("not_ended", message)
        source = parent.path / "checkpoints"
    # What begins with a dot was never finished.
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(source, folder, symlinks=True, ignore=shutil.ignore_patterns(".*"))
    if not any(file.is_file() for file in folder.rglob("*")):
        raise AgentError(
            "no_checkpoint", f"run {spec['parent']}: there is no checkpoint to resume from"
        )


def new_state(run_id: str, ticket: int, spec: Json) -> Json:
    """Return the state of a run that waits; `command` is its argv, cut, for lists of runs."""
    now = time.time()
    return {
        "schema": SCHEMA,
        "run_id": run_id,
        "state": "QUEUED",
        "reason": None,
        "returncode": None,
        "signal": None,
        "oom_killed": False,
        "queued_at": now,
        "started_at": None,
        "ended_at": None,
        "heartbeat_at": now,
        "command": as_text(" ".join(spec["argv"]))[:COMMAND_CHARS],
        "gpu": None,
        "supervisor": None,
        "job": None,
        "last_lines": [],
        "log_size": 0,
        "events_size": 0,
        "manifest_sha256": None,
        "ticket": ticket,
        "wants": None,
        "stopping": None,
        "killed": 0,
        "price_per_hour": spec.get("price_per_hour"),
        "idle_share": None,
        "samples": [0, 0],
        "on_finish": None,
    }
