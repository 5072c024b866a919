"""Find a run by its id or a prefix of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from moola_remote.agent_client.client import Agent
from moola_remote.agent_client.verbs import get_state, list_page, unknown_run
from moola_remote.errors import ConfigError
from moola_remote.protocol.state import RunState
from moola_remote.text.sanitize import safe

# Of those that begin alike, and of those that are suggested for a name that fits none.
SHOWN = 50
FULL_ID = re.compile(r"\d{8}-\d{6}-[a-z0-9-]+-[0-9a-f]{4}")


def resolve(agent: Agent, name: str | None = None) -> RunState:
    """Return the run that the user means.

    Args:
        agent: the pod's agent.
        name: a run id, or the beginning of exactly one; None is the latest run.

    Raises:
        ConfigError: none or several.
    """
    if name is None:
        newest = list_page(agent, last=1).states
        if not newest:
            raise ConfigError(
                "runs: there are none on the pod", "moola-remote run -- python SCRIPT, or train"
            )
        return newest[-1]
    if FULL_ID.fullmatch(name):
        return get_state(agent, name)
    page = list_page(agent, last=SHOWN, prefix=name)
    if not page.states:
        raise unknown_run(name, [run.run_id for run in list_page(agent, last=SHOWN).states])
    return choose(page.states, name, page.num_older)


def choose(runs: Sequence[RunState], name: str, num_older: int = 0) -> RunState:
    """Return the run of a list that the user means.

    Args:
        runs: those that may be meant.
        name: a run id, or the beginning of exactly one.
        num_older: how many more begin so.

    Raises:
        ConfigError: none or several.
    """
    found = [run for run in runs if run.run_id == name]
    found = found or [run for run in runs if run.run_id.startswith(name)]
    if not found:
        raise unknown_run(name, [run.run_id for run in runs])
    if len(found) + num_older > 1 and found[0].run_id != name:
        several = ", ".join(run.run_id for run in found[-3:])
        number = len(found) + num_older
        begins = f"run {safe(name, 80)}: {number} begin so, the newest: {several}"
        raise ConfigError(begins, "name one")
    return found[0]
