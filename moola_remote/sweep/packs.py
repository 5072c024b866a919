"""Packs: the trials that one run does, one after another; of a plan without them, each is one."""

from __future__ import annotations

from moola_remote.sweep.coordinator import Coordinator
from moola_remote.sweep.trial import Job


def take_pack(
    coordinator: Coordinator, pod: str, most: int, slots: int, *, is_spare: bool = False
) -> list[Job]:
    """Return what `Coordinator.take` does with the other trials of the same run; empty at the end.

    Args:
        coordinator: hands out the trials.
        pod: its name.
        most: trials a run.
        slots: among which the trials that are left are shared out: GPUs of all pods.
        is_spare: see `Coordinator.take`.
    """
    with coordinator.quiet():
        first = coordinator.take(pod, is_spare=is_spare)
        if first is None or most == 1:
            return [] if first is None else [first]
        jobs, run_id = [first], first.attempt.run_id
        fair = min(most, -(-(coordinator.assigned.left() + 1) // slots))
        while not first.is_new or len(jobs) < fair:
            if first.is_new:
                job = coordinator.begin(pod, is_spare=is_spare, run_id=run_id)
            else:
                job = coordinator.going_on(pod, run_id)
            if job is None:
                break
            jobs.append(job)
        return jobs


def claim_packs(coordinator: Coordinator, pod: str, count: int, most: int) -> list[list[Job]]:
    """Begin up to `count` trials of a static plan for a pod, up to `most` a run.

    Each has to be released once its run is started.
    """
    packs: list[list[Job]] = []
    with coordinator.quiet():
        for number in range(count):
            is_first = number % most == 0
            run_id = None if is_first else packs[-1][0].attempt.run_id
            job = coordinator.begin(pod, is_spare=False, run_id=run_id)
            if job is None:
                break
            if is_first:
                packs.append([])
            packs[-1].append(job)
    return packs
