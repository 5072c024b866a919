"""What a pod has cost and costs, by our own meter: its price and its clock.

The bill itself counts from the machine's start, in seconds, and is read from the billing API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moola_remote.providers.runpod.pod_name import PodName
from moola_remote.text.format import duration

if TYPE_CHECKING:
    from datetime import datetime

    from moola_remote.providers.runpod.models import Pod
# Published: USD a GB and month of the volume of a stopped pod; it is half that while it runs.
STOPPED_GB_MONTH = 0.20
HOURS_A_MONTH = 730


def is_stopped(pod: Pod) -> bool:
    """Return whether only its volume is billed."""
    return pod.status in ("EXITED", "ERROR")


def deadline_of(pod: Pod) -> datetime | None:
    """Return when a pod of ours should end: the lifetime in its name, from its last start.

    Where the API doesn't say when it was made, the deadline in the name itself.
    """
    name = PodName.parse(pod.name)
    if name is None:
        return None
    if pod.created_at is None:
        return name.deadline
    started_at = pod.started_at or pod.created_at
    return max(started_at, pod.created_at) + (name.deadline - pod.created_at)


def storage_cost(pod: Pod) -> float:
    """USD an hour for a stopped pod's volume, by the published prices."""
    volume = pod.mounts.persistent
    return volume.size * STOPPED_GB_MONTH / HOURS_A_MONTH if volume else 0.0


def uptime_s(pod: Pod, now: datetime) -> float:
    """Seconds since its last start; 0 where it is stopped."""
    if pod.started_at is None or is_stopped(pod):
        return 0.0
    return max(0.0, (now - pod.started_at).total_seconds())


def spent(pod: Pod, now: datetime) -> float:
    """USD since its last start."""
    return pod.cost * uptime_s(pod, now) / 3600


def describe(pod: Pod, now: datetime) -> str:
    """Return a pod in one line: what it is, and what it costs; `now` is the API's."""
    gpu = pod.gpu.id.removeprefix("NVIDIA GeForce ") if pod.gpu else "no GPU"
    words = [f"{pod.id} {gpu}", " ".join(filter(None, [pod.cloud, pod.data_center_id]))]
    if is_stopped(pod):
        rate = storage_cost(pod)
        return ", ".join([*words, pod.status, f"its volume costs ${24 * rate:.2f} a day"])
    words.append(f"${pod.cost:.2f}/h")
    if pod.started_at:
        words += [f"up {duration(uptime_s(pod, now))}", f"${spent(pod, now):.2f} since its start"]
    gpus = pod.runtime.gpus if pod.runtime else []
    uses = [gpu.util for gpu in gpus if gpu.util is not None]
    if uses:
        words.append(f"GPU {max(uses):.0f}%")
    return ", ".join(words)
