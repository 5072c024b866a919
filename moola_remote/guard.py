"""The guard of a rented pod, from the laptop's side: set it, and say what it will do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from moola_remote.panels import duration
from moola_remote.runs import word_of
from moola_remote.screen import safe

if TYPE_CHECKING:
    from moola_remote.runs import Agent


def set_guard(agent: Agent, settings: Mapping[str, Any]) -> str:
    """Tell the pod when to stop itself, have it prove that it can; one line about both.

    Args:
        agent: on the pod.
        settings: `Endpoint.guard`: ``api``, ``idle_stop_s``, ``stop_at`` (Unix seconds).

    Raises:
        MoolaError: the pod can't be told.
    """
    answer = agent.call("guard", stdin=settings)
    proved, why = answer.get("proved"), safe(word_of(answer.get("why")), 300)
    if not proved:
        return (
            f"warning: the pod can't stop itself, its own key does not open the API ({why}); "
            "end its price with: moola-remote stop"
        )
    idle_s, stop_at = settings.get("idle_stop_s"), settings.get("stop_at")
    when = [f"after {duration(idle_s)} without a run and with GPU under 5%"] if idle_s else []
    when += [f"in {duration(max(0.0, stop_at - time.time()))} at the latest"] if stop_at else []
    return f"the pod stops itself {', and '.join(when) or 'after the limit of a run'}"
