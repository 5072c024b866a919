"""``state``, ``list`` and ``show``: how runs stand, each with a living supervisor."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import sys
import time
from pathlib import Path
from typing import List, Optional, Tuple

from moola_remote.agent.constants import (
    BLOCK,
    ENDED,
    FACTS,
    FRESH_S,
    SILENT_S,
    STATE_BYTES,
    Json,
)
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import head, open_file, says_full, size_of, write_error
from moola_remote.agent.layout import RUN_ID, Pod, Run, stored_state
from moola_remote.agent.locks import is_locked
from moola_remote.agent.processes import boot
from moola_remote.agent.unfinished import survey, unfinished


def settle(pod: Pod, run: Run) -> Json:
    """Return the state; restart the supervisor if it died."""
    state = run.state()
    if state["state"] not in ENDED and not is_locked(run.lock) and not is_elsewhere(state):
        spawn_supervisor(pod, run)
        state = run.state()
    return state


def current(pod: Pod, run: Run) -> Json:
    """Answer ``state``."""
    return {"state": view(pod, settle(pod, run))}


def is_elsewhere(state: Json) -> bool:
    """Return whether another machine that shares our volume seems to watch over this run."""
    who = state.get("supervisor")
    age = abs(time.time() - (state.get("heartbeat_at") or 0))
    return who is not None and who.get("boot") != boot() and age < FRESH_S


def spawn_supervisor(pod: Pod, run: Run) -> None:
    """Start a supervisor; wait until it has taken the run over, or seen that another has."""
    read_end, write_end = os.pipe()
    errors = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, write_end, 1),
        (os.POSIX_SPAWN_OPEN, 2, str(run.own / ".supervisor.log"), errors, 0o600),
    ]
    # -S: a pod's site-packages are of no use to us, and may take long to look through.
    argv = [sys.executable, "-ISB", program(), "--root", str(pod.root), "supervise", run.id]
    try:
        try:
            spawn = functools.partial(os.posix_spawn, sys.executable, argv, os.environ)
            child = spawn(file_actions=files, setsid=True)
        finally:
            os.close(write_end)  # also where there is no process number left
        select.select([read_end], [], [], 5.0)
    finally:
        os.close(read_end)
    os.waitpid(child, 0)


def program() -> str:
    """Return the absolute path of this program, the .pyz that Python was started with."""
    return str(Path(sys.argv[0]).resolve())


def view(pod: Pod, state: Json, others: Optional[List[Json]] = None) -> Json:
    """Return a state to show: with the place in the queue, the pod's clock, current sizes.

    One that is no longer recorded, since the disk is full or read-only, says so as its reason.
    """
    position = None
    if state["state"] == "QUEUED":
        if others is None:
            others = [other for _, other in unfinished(pod)]
        position = 1 + sum(is_before(other, state) for other in others)
    run = pod.run(state["run_id"])
    sizes = {"log_size": size_of(run.log), "events_size": size_of(run.events)}
    shown = {**state, **sizes, "queue_position": position, "now": time.time()}
    if state["state"] in ("PREPARING", "RUNNING") and is_silent(state):
        error = write_error(run.own, STATE_BYTES)
        if error is not None:
            cure = "make room on the pod" if says_full(error) else "make its disk writable"
            shown["reason"] = f"nothing can be recorded, {error}: {cure}, then it is"
    return shown


def is_silent(state: Json) -> bool:
    """Return whether nothing was recorded of a run for a while."""
    return time.time() - (state.get("heartbeat_at") or 0) > SILENT_S


def is_before(other: Json, state: Json) -> bool:
    """Return whether `other` waits in front of `state` for a GPU that both could take."""
    if other["state"] != "QUEUED" or (other.get("ticket") or 0) >= (state.get("ticket") or 0):
        return False
    theirs, ours = other.get("wants"), state.get("wants")
    return theirs is None or ours is None or bool(set(theirs) & set(ours))


def show(pod: Pod, run: Run) -> Json:
    """Return what is on record of a run: its state, spec, configuration and last event ``run``."""
    config, begun = None, None
    with contextlib.suppress(OSError):
        config = head(run.path / "config.yaml", BLOCK).decode("utf-8", "replace")
    with contextlib.suppress(OSError), os.fdopen(open_file(run.events), "rb") as file:
        for line in iter(lambda: file.readline(BLOCK), b""):
            if b'"run"' in line:
                with contextlib.suppress(ValueError, RecursionError, AttributeError):
                    event = json.loads(line)
                    begun = event if event.get("kind") == "run" else begun
    state = view(pod, settle(pod, run))
    return {"state": state, "spec": run.spec(), "config": config, "run": begun}


def list_runs(pod: Pod, with_facts: bool, last: Optional[int], prefix: str) -> Json:
    """Return the runs whose id begins with `prefix`: all that have not ended, the `last` others.

    The state of a run that is left out is not read.
    """
    known = survey(pod)
    ended = sorted(name for name in known.ended if name.startswith(prefix))
    ended.sort(key=known.ended.__getitem__)
    num_older = max(0, len(ended) - last) if last is not None else 0
    folders = [pod.runs / name for name in ended[num_older:]]
    stored = [(Run(folder), stored_state(folder)) for folder in folders]  # one may be gone by now
    live = [one for one in known.unfinished if one[0].id.startswith(prefix)]
    chosen = [(run, state) for run, state in [*stored, *live] if state is not None]
    found = [settled(pod, run, state) for run, state in sorted(chosen, key=by_ticket)]
    states = [state for state in found if state is not None]
    queue = [state for _, state in known.unfinished]
    listed = [{**view(pod, state, queue), "last_lines": []} for state in states]
    room = FACTS
    for state in reversed(listed) if with_facts else ():
        state.update(facts(pod.run(state["run_id"]), min(room, BLOCK)))
        room -= len(state["config"] or "")
    damaged = [run.id for run, state in stored if state is None]
    damaged += [name for name in known.unreadable if name.startswith(prefix)]
    return {"runs": [*unreadable(pod, damaged), *listed], "older": num_older}


def by_ticket(one: Tuple[Run, Json]) -> Tuple[int, str]:
    """Return what runs are sorted by: as they were started."""
    return one[1].get("ticket") or 0, one[0].id


def settled(pod: Pod, run: Run, state: Json) -> Optional[Json]:
    """Return the state of one run among many: a fault in it does not hide the others.

    Returns:
        The last known `state` where no supervisor can be started; None where it was damaged or
        removed just now.
    """
    try:
        return state if state["state"] in ENDED else settle(pod, run)
    except AgentError:
        return None
    except OSError:
        return state


def unreadable(pod: Pod, names: List[str]) -> List[Json]:
    """Return runs whose state can't be read, so that they don't seem to hold nothing."""
    reason = "its state.json can't be read"
    # One that has come or gone meanwhile is none.
    there = [
        name
        for name in sorted(names)
        if RUN_ID.fullmatch(name)
        and (pod.runs / name).is_dir()
        and stored_state(pod.runs / name) is None
    ]
    return [{"run_id": name, "state": "LOST", "reason": reason} for name in there]


def facts(run: Run, limit: int) -> Json:
    """Return what runs are filtered and sorted by: the recipe as run, scores, sweep."""
    config, scores = None, None
    of_sweep: Json = {"sweep": None, "trial": None}
    with contextlib.suppress(OSError):
        config = head(run.path / "config.yaml", limit).decode("utf-8", "replace")
    with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
        scores = json.loads(head(run.path / "result.json", BLOCK)).get("scores")
    with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError, AgentError):
        spec = run.spec()
        of_sweep = {key: spec.get(key) for key in of_sweep}
    return {"config": config, "scores": scores, **of_sweep}
