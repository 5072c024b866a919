"""All pods of ours in the account, of whichever file: what they cost, which are overdue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moola_remote.providers.runpod.metering import (
    deadline_of,
    is_stopped,
    spent,
    storage_cost,
    uptime_s,
)
from moola_remote.providers.runpod.pod_name import PodName

if TYPE_CHECKING:
    from datetime import datetime

    from moola_remote.providers.runpod.client import RunpodClient
    from moola_remote.providers.runpod.models import Pod


@dataclass(frozen=True)
class PodCost:
    """One pod's money, in USD.

    `per_hour` is what it costs now, stopped or not; `metered` is ours since its last start;
    `billed` is RunPod's for the days asked for, None where nothing was billed yet.
    """

    pod_id: str
    name: str
    state: str
    per_hour: float
    uptime_s: float
    metered: float
    billed: float | None


def ours(pods: Sequence[Pod], owner: str, file: str | None = None) -> list[Pod]:
    """Return those that bear our owner's name, and that of a pod's file where one is asked for."""
    named = ((PodName.parse(pod.name), pod) for pod in pods)
    return [
        pod
        for name, pod in named
        if name is not None and name.owner == owner and file in (None, name.pod)
    ]


def overdue(pods: Sequence[Pod], now: datetime) -> list[Pod]:
    """Return those that cost a machine's price past their deadline; `now` is the API's."""
    found = ((deadline_of(pod), pod) for pod in pods if not is_stopped(pod))
    return [pod for deadline, pod in found if deadline is not None and deadline < now]


def costs(client: RunpodClient, owner: str, *, days: int) -> list[PodCost]:
    """Return a line a pod of ours, then one a pod that was billed and is no more."""
    billed: defaultdict[str, float] = defaultdict(float)
    for record in client.billing(days=days).records:
        billed[record.pod_id] += record.total_amount
    there = client.pods()
    now = client.now()
    lines = [_line(pod, now, billed.get(pod.id)) for pod in ours(there, owner)]
    gone = sorted(set(billed) - {pod.id for pod in there})
    return [*lines, *(PodCost(one, "", "gone", 0.0, 0.0, 0.0, billed[one]) for one in gone)]


def _line(pod: Pod, now: datetime, billed: float | None) -> PodCost:
    per_hour = storage_cost(pod) if is_stopped(pod) else pod.cost
    up_s, metered = uptime_s(pod, now), spent(pod, now)
    return PodCost(pod.id, pod.name, pod.status, per_hour, up_s, metered, billed)
