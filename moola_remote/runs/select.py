"""Find a run by its id or a prefix of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import get_state, list_runs, unknown_run
from moola_remote.errors import ConfigError
from moola_remote.protocol.state import RunState
from moola_remote.text.sanitize import safe

FULL_ID = re.compile(r"\d{8}-\d{6}-[a-z0-9-]+-[0-9a-f]{4}")


def resolve(agent: Agent, name: str | None = None) -> RunState:
    """Return the run that the user means.

    Args:
        agent: the pod's agent.
        name: a run id, or the beginning of exactly one; None is the latest run.

    Raises:
        ConfigError: none or several.
    """
    if name is not None and FULL_ID.fullmatch(name):
        return get_state(agent, name)
    return choose(list_runs(agent), name)


def choose(runs: Sequence[RunState], name: str | None) -> RunState:
    """Return the run of a list that the user means; see `resolve`."""
    if name is None:
        if not runs:
            raise ConfigError("runs: there are none on the pod", "moola-remote train")
        return runs[-1]
    found = [run for run in runs if run.run_id == name]
    found = found or [run for run in runs if run.run_id.startswith(name)]
    if not found:
        raise unknown_run(name, [run.run_id for run in runs])
    if len(found) > 1:
        several = ", ".join(run.run_id for run in found[-3:])
        begins = f"run {safe(name, 80)}: {len(found)} begin so, the newest: {several}"
        raise ConfigError(begins, "name one")
    return found[0]
