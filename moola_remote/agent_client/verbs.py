"""The agent's verbs as functions: each sends its request and returns a typed answer.

The contract is docs/protocol.md. The pod is not trusted: what it says is parsed, bounded and made
safe for a screen before anybody sees it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from moola_remote.agent_client.client import Agent
from moola_remote.errors import ConfigError, TransferError, UnknownRunError
from moola_remote.protocol.refusal import CURES
from moola_remote.protocol.state import RunState, read_state
from moola_remote.text.sanitize import safe

MAX_RUNS = 10_000
# Past a grace that is the spec's, and the agent's own patience.
CANCEL_TIMEOUT_S = 600.0
# A run that is still running gets copies of checkpoints.
START_TIMEOUT_S = 600.0
# What was written after the end is hashed again.
MANIFESTS_S = 3600.0


@dataclass(frozen=True)
class Started:
    """The answer to `submit`: `is_new` is False where the run already existed."""

    state: RunState
    is_new: bool


@dataclass(frozen=True)
class Cancelled:
    """The answer to `cancel`: how the run ended, and how many processes a signal of ours ended."""

    state: RunState
    num_killed: int


def submit(
    agent: Agent, spec: Mapping[str, Any], secrets: Mapping[str, str] = MappingProxyType({})
) -> Started:
    """Start a run; asked again with the same run id, nothing is started again.

    Args:
        agent: the pod's agent.
        spec: ``spec.json`` of docs/protocol.md.
        secrets: environment variables of the job; on the pod only, and never in the spec.
    """
    asked = {**spec, "secrets": dict(secrets)}
    answer = agent.call("start", stdin=asked, timeout_s=START_TIMEOUT_S)
    return Started(read_state(answer.get("state")), is_new=answer.get("started") is True)


def get_state(agent: Agent, run_id: str) -> RunState:
    """Return how a run stands.

    Raises:
        ConfigError: there is none of this id; the nearest ones are named.
        TransferError: the answer is no state, or another run's.
    """
    try:
        state = read_state(agent.call("state", run_id).get("state"))
    except ConfigError as err:
        near = list_page(agent, last=50).states
        raise unknown_run(run_id, [state.run_id for state in near]) from err
    return _of(run_id, state)


def _of(run_id: str, state: RunState) -> RunState:
    if state.run_id != run_id:
        raise TransferError(f"run {safe(run_id, 80)}: the agent answered for {state.run_id}")
    return state


def list_runs(agent: Agent) -> list[RunState]:
    """Return every run of the pod, newest last, without their last lines."""
    return list_page(agent).states


@dataclass(frozen=True)
class Page:
    """Runs of a pod, newest last, without their last lines; and how many ended ones are older."""

    states: list[RunState]
    num_older: int


def list_page(agent: Agent, *, last: int | None = None, prefix: str = "") -> Page:
    """Return the runs that have not ended, and the newest of those that have.

    Args:
        agent: the pod's agent.
        last: how many that have ended; None is all. The others cost the pod nothing.
        prefix: of the id; whatever else it holds than an id may hold fits no run.
    """
    words = [] if last is None else [f"--last={last}"]
    answer = agent.call("list", *words, *([f"--prefix={prefix}"] if prefix else []))
    runs, older = answer.get("runs"), answer.get("older")
    found = [_state_or_lost(run) for run in runs[-MAX_RUNS:]] if isinstance(runs, list) else []
    return Page(found, older if isinstance(older, int) and 0 < older < 10**9 else 0)


def _state_or_lost(value: Any) -> RunState:
    """Return a state; one that can't be read is LOST, and does not hide the others."""
    try:
        return read_state(value)
    except TransferError as err:
        run_id = value.get("run_id") if isinstance(value, dict) else None
        return read_state({"run_id": run_id, "state": "LOST", "reason": err.message})


def cancel(agent: Agent, run_id: str, *, grace_s: float | None = None) -> Cancelled:
    """End a run; return when the pod has verified that all its processes ended.

    Args:
        agent: the pod's agent.
        run_id: a whole run id.
        grace_s: between SIGTERM and SIGKILL; None takes the spec's.

    Raises:
        LimitError: processes of it still live; they are named.
    """
    grace = [] if grace_s is None else ["--grace", f"{grace_s:g}"]
    answer = agent.call("cancel", run_id, *grace, timeout_s=CANCEL_TIMEOUT_S + (grace_s or 0.0))
    killed = answer.get("killed")
    return Cancelled(read_state(answer.get("state")), killed if isinstance(killed, int) else 0)


@dataclass(frozen=True)
class Place:
    """Where in a log something begins, and how long the log was then; bytes."""

    offset: int
    size: int


def locate(
    agent: Agent, run_id: str, *, tail: int | None = None, since: float | None = None
) -> Place:
    """Return where the last lines of a log begin, or what was written from a time on.

    Args:
        agent: the pod's agent.
        run_id: a whole run id.
        tail: how many lines; None is no limit.
        since: the pod's clock, Unix seconds; None is the beginning. No line is left out, those of
            up to a second before may be there too.
    """
    words = [] if tail is None else [f"--tail={tail}"]
    words += [] if since is None else [f"--since={since:.3f}"]
    answer = agent.call("locate", run_id, *words)
    offset, size = answer.get("offset"), answer.get("size")
    if not (isinstance(offset, int) and isinstance(size, int) and 0 <= offset <= size):
        raise TransferError(f"run {run_id}: expected a place in its log, got {safe(str(answer))}")
    return Place(offset, size)


def make_manifests(agent: Agent, have: Mapping[str, str]) -> dict[str, tuple[str, bytes]]:
    """Have the manifests of ended runs made or brought up to date, in one round trip.

    Args:
        agent: the pod's agent.
        have: the runs, each with the SHA-256 of the manifest that lies here, or empty.

    Returns:
        The SHA-256 of each, and what it holds: empty where that lies here, or is large. Nobody has
        compared the two. A run without a manifest is not in it.
    """
    rows = _ask_manifests(agent, have)
    named = {run_id: _named(rows.get(run_id)) for run_id in have}
    return {run_id: one for run_id, one in named.items() if one is not None}


def get_state_and_manifest(
    agent: Agent, run_id: str, have: str
) -> tuple[RunState, tuple[str, bytes] | None]:
    """Return how a run stands, and of an ended one what `make_manifests` does: one round trip.

    Raises:
        ConfigError: there is none of this id; the nearest ones are named.
        TransferError: the answer is no state, or another run's.
    """
    row = _ask_manifests(agent, {run_id: have}, states=True).get(run_id)
    if not isinstance(row, dict) or "state" not in row:
        return get_state(agent, run_id), None  # which says why
    return _of(run_id, read_state(row["state"])), _named(row)


def _ask_manifests(agent: Agent, have: Mapping[str, str], **more: Any) -> dict[str, Any]:
    asked = {"runs": list(have), "have": dict(have), **more}
    found = agent.call("manifests", stdin=asked, timeout_s=MANIFESTS_S).get("manifests")
    return found if isinstance(found, dict) else {}


def _named(row: Any) -> tuple[str, bytes] | None:
    """Return the SHA-256 and the text of a manifest in an answer; None where it has none."""
    table = row if isinstance(row, dict) else {}
    digest, text = table.get("manifest_sha256"), table.get("content")
    if not isinstance(digest, str):
        return None
    return digest, (text.encode() if isinstance(text, str) else b"")


def make_manifest(agent: Agent, run_id: str, *, timeout_s: float = 3600.0) -> str:
    """Return the SHA-256 of a run's ``manifest.json``, made now where it is missing."""
    return str(agent.call("manifest", run_id, timeout_s=timeout_s).get("manifest_sha256"))


def unknown_run(name: str, run_ids: Sequence[str]) -> UnknownRunError:
    """Return the error for a run that isn't there, with the nearest that are."""
    near = difflib.get_close_matches(name, run_ids, n=3, cutoff=0.5) or run_ids[-3:]
    expected = f"expected for example {', '.join(near)}" if near else "the pod has no runs"
    err = UnknownRunError(f"run {safe(name, 80)}: unknown, {expected}", CURES["unknown_run"])
    err.name = name
    return err
