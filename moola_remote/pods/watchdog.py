"""The guard of a rented pod, from the laptop's side: set it, and say what it will do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moola_remote.protocol.answers import Idleness, Proof
from moola_remote.protocol.types import read_answer_as
from moola_remote.text.format import duration

if TYPE_CHECKING:
    from moola_remote.agent_client.client import Agent


@dataclass(frozen=True)
class Guarded:
    """What the pod will do, in one line; `left_s` is None where it runs until it is stopped."""

    line: str
    left_s: float | None


def set_guard(agent: Agent, settings: Mapping[str, Any]) -> Guarded:
    """Send the pod when to stop itself, and have it prove that it can.

    Args:
        agent: on the pod.
        settings: `Endpoint.guard`: ``api``, ``idle_stop_s``, ``stop_at`` (Unix seconds).

    Raises:
        MoolaError: the pod can't be reached, or refused.
    """
    answer = read_answer_as(Proof, agent.call("guard", stdin=settings), "guard")
    if not answer.proved:
        line = (
            "warning: the pod can't stop itself, its own key does not open the API "
            f"({answer.why}); stop the billing with: moola-remote stop"
        )
        return Guarded(line, None)
    idle_s, stop_at = settings.get("idle_stop_s"), settings.get("stop_at")
    left_s = None if stop_at is None else max(0.0, stop_at - answer.now)
    when = [f"after {duration(idle_s)} without a run and with GPU under 5%"] if idle_s else []
    when += [] if left_s is None else [f"in {duration(left_s)} at the latest"]
    stops = ", and ".join(when) or "after the limit of a run"
    return Guarded(f"the pod stops itself {stops}", left_s)


def idle_words(agent: Agent) -> str:
    """Return how long a pod has had no run and an idle GPU, and when it stops itself, by its guard.

    Raises:
        MoolaError: the pod can't be asked.
    """
    answer = read_answer_as(Idleness, agent.call("idle"), "idle")
    if answer.idle_s is None:
        return "idle time unknown, no guard is on watch: `up` sets one"
    words = f"idle {duration(answer.idle_s)}" if answer.idle_s else "at work"
    if answer.stops_in_s is None:
        return f"{words}, does not stop itself"
    return f"{words}, stops itself in {duration(answer.stops_in_s)}"
