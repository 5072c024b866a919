"""The end of the nodes of a Ray cluster of ours."""

from __future__ import annotations

import time

from moola_remote.agent_client import verbs
from moola_remote.errors import MoolaError
from moola_remote.follow.whole_run import WholeRun
from moola_remote.pods.pod import Pod
from moola_remote.sweep.cluster import Member
from moola_remote.sweep.drive import Crew
from moola_remote.sweep.plan import Plan
from moola_remote.text.sanitize import safe

# Nodes end by themselves after their driver, within this.
NODE_END_S = 20.0


def end_node(node: Member, deadline: float, plan: Plan, crew: Crew) -> None:
    """See a node end, or cancel it at the deadline, and fetch what it printed; note what fails.

    Args:
        node: a run, maybe never started.
        deadline: by the monotonic clock.
        plan: of the sweep.
        crew: what it works with.
    """
    try:
        with Pod(node.pod) as pod:
            _see_end(pod, node, deadline, plan, crew)
    except MoolaError as err:
        crew.watcher.on_note(f"{node.role} on {node.pod}: {err}")


def _see_end(pod: Pod, node: Member, deadline: float, plan: Plan, crew: Crew) -> None:
    run = WholeRun(pod, crew.patience_s)
    if run.is_unknown(node.run_id):
        return
    while not (state := verbs.get_state(pod.agent, node.run_id)).has_ended:
        if time.monotonic() > deadline:
            state = verbs.cancel(pod.agent, node.run_id).state
            break
        time.sleep(0.5)
    if state.state == "FAILED":
        why = safe(state.reason or "failed")
        crew.watcher.on_note(f"{node.role} on {node.pod}: {why}")
    run.fetch(state, "all" if plan.then else "results", crew.watcher.on_note)
