"""The folders of a pod and of a run: every path once."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import time
from pathlib import Path
from typing import Any, Iterator, Optional, Tuple

from moola_remote.agent.constants import SCHEMA, SHAPE, STATES, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import append, read_json, readable, write_json

# The agent's own files of a run, where no name of a job's can be mistaken for one.
OWN = ".moola"
# Runs that an older agent started have them beside the outputs.
OLD_OWN = re.compile(
    r"\.(lock|job\.lock|(job|exit|cancel|secrets)\.json|times|reserve|supervisor\.log)"
)


class Run:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.log = path / "log"
        self.events = path / "events.jsonl"
        self.manifest = path / "manifest.json"
        self.workdir = path / "workdir"

    @property
    def own(self) -> Path:
        """The folder of the agent's own files."""
        own = self.path / OWN
        return own if own.is_dir() and not own.is_symlink() else self.path

    @property
    def times(self) -> Path:
        """How long the log was, and when."""
        return self.own / ".times"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.own / ".lock"

    @property
    def job_lock(self) -> Path:
        """Held by the keeper as long as it lives."""
        return self.own / ".job.lock"

    def state(self) -> Json:
        """As it is stored.

        Raises:
            AgentError: the file can't be read.
        """
        state = stored_state(self.path)
        if state is None:
            raise AgentError("bad_run", f"{self.path}/state.json: not readable")
        return state

    def spec(self) -> Json:
        return read_json(self.path / "spec.json") or {}

    def job(self) -> Optional[Json]:
        return read_json(self.own / ".job.json")

    def write(self, name: str, value: Any, *, sync: bool = True) -> bytes:
        """Replace a file of ours; a full disk costs the reserve first, but not for a heartbeat."""
        path = (self.own if name.startswith(".") else self.path) / name
        try:
            return readable(path.parent, lambda _: write_json(path, value, sync=sync))
        except OSError as err:
            if err.errno not in (errno.ENOSPC, errno.EDQUOT) or not sync:
                raise
            with contextlib.suppress(FileNotFoundError):
                (self.own / ".reserve").unlink()
            return write_json(path, value, sync=sync)

    def add_event(self, kind: str, **keys: Any) -> None:
        """One line with one write; a full disk costs the line, never the job."""
        line = json.dumps({"schema": SCHEMA, "t": time.time(), "kind": kind, **keys}) + "\n"
        with contextlib.suppress(OSError):
            append(self.events, line)


def stored_state(folder: Path) -> Optional[Json]:
    """A run's state as it is stored; None where it can't be read, or is none of this run's."""
    state = read_json(folder / "state.json")
    if state is None or state.get("run_id") != folder.name or state.get("state") not in STATES:
        return None
    for kinds, keys in SHAPE:
        if not all(isinstance(state.get(key), (*kinds, type(None))) for key in keys):
            return None
    whom = [who for who in (state.get("supervisor"), state.get("job")) if who is not None]
    return state if all(isinstance(who.get("pid"), int) for who in whom) else None


class Pod:
    """Everything of ours on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs = root / "runs"
        self.queue_lock = root / "queue.lock"

    def make(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("runs", "code", "data", "checkpoints", "env", "cache"):
            (self.root / name).mkdir(exist_ok=True)

    def gpu_lock(self, index: int) -> Path:
        return self.root / f"gpu-{index}.lock"

    def run(self, run_id: str) -> Run:
        """A run that is there.

        Raises:
            AgentError: it is not.
        """
        check_run_id(run_id)
        run = Run(self.runs / run_id)
        if not run.path.is_dir():
            raise AgentError("unknown_run", f"run {run_id}: there is none of this name on the pod")
        return run

    def all_runs(self) -> Iterator[Tuple[Run, Json]]:
        """Each run with its stored state, oldest first; unreadable ones are passed over."""
        found = []
        for path in self.runs.iterdir() if self.runs.is_dir() else ():
            state = stored_state(path) if not path.name.startswith(".") else None
            if state is not None:
                found.append((state.get("ticket") or 0, path.name, state))
        for _, name, state in sorted(found, key=lambda one: one[:2]):
            yield Run(self.runs / name), state


RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def check_run_id(run_id: Any) -> None:
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise AgentError("bad_request", f"run id {run_id!r}: expected [a-z0-9-], 64 at most")
