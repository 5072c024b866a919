"""The folders of a pod and of a run: every path once."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import time
from pathlib import Path
from typing import Any, Iterator, Optional, Tuple

from moola_remote.agent.constants import MOST, NEVER_NULL, SCHEMA, SHAPE, STATES, Json
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
    """Return a run's state as stored; None where it can't be read, or is another run's."""
    state = read_json(folder / "state.json")
    if state is None or state.get("run_id") != folder.name or state.get("state") not in STATES:
        return None
    if any(name in state and state[name] is None for name in NEVER_NULL):
        return None
    is_good = all(is_of_kind(state.get(key), *shape) for key, shape in SHAPE.items())
    return state if is_good and has_good_parts(state) else None


def is_of_kind(value: Any, kind: type, least: float, most: float) -> bool:
    """Return whether a value of a state is null, or of this kind and in its bounds."""
    if value is None:
        return True
    if kind in (int, float):
        is_number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        return is_number and least <= value <= most
    return isinstance(value, kind) and (kind is not str or is_text(value))


def is_text(value: Any) -> bool:
    """Return whether it can be sent: half of a surrogate pair is no text."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def as_text(value: str) -> str:
    """Return what can be sent, with escapes for bytes that are no UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def has_good_parts(state: Json) -> bool:
    """Return whether the processes and lists of a state hold what they should."""
    for who in (state.get("supervisor"), state.get("job")):
        if who is None:
            continue
        pid, ticks = who.get("pid"), who.get("start_ticks")
        is_good = is_of_kind(pid, int, 1, 2**31) and is_of_kind(ticks, int, 0, MOST)
        if not is_good or None in (pid, ticks) or not is_text(who.get("boot")):
            return False
    numbers = [*(state.get("wants") or []), *(state.get("samples") or [])]
    is_good = all(one is not None and is_of_kind(one, int, -1, MOST) for one in numbers)
    has_two = len(state.get("samples") or [0, 0]) == 2
    return is_good and has_two and all(map(is_text, state.get("last_lines") or []))


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
        """Return a run that is there.

        Raises:
            AgentError: it is not.
        """
        check_run_id(run_id)
        run = Run(self.runs / run_id)
        if not run.path.is_dir():
            raise AgentError("unknown_run", f"run {run_id}: there is none of this name on the pod")
        return run

    def all_runs(self) -> Iterator[Tuple[Run, Json]]:
        """Yield each run with its stored state, oldest first; unreadable ones are passed over."""
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
