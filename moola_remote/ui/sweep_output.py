"""What is printed of a sweep while it lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import click

from moola_remote.sweep.plan import Plan
from moola_remote.sweep.trial import Trial
from moola_remote.ui.sweep_table import change_line


class SweepOutput:
    """One line a change on stderr, or JSON events on stdout.

    Args:
        plan: of the sweep.
        answer: prints one JSON line; None prints text.
    """

    def __init__(self, plan: Plan, *, answer: Callable[[dict[str, Any]], None] | None) -> None:
        self._plan = plan
        self._answer = answer
        self._lock = threading.Lock()

    def on_trial(self, trial: Trial, what: str) -> None:
        """See `coordinator.Watcher`."""
        with self._lock:
            if self._answer:
                self._answer(trial_fields(trial, what))
            else:
                click.echo(change_line(trial, what, self._plan), err=True)

    def on_step(self, trial: Trial, step: int, value: float) -> None:
        """See `coordinator.Watcher`."""
        if self._answer:
            with self._lock:
                self._answer({"kind": "step", "trial": trial.number, "step": step, "value": value})

    def on_note(self, text: str) -> None:
        """See `coordinator.Watcher`."""
        with self._lock:
            if self._answer:
                self._answer({"kind": "note", "text": text})
            else:
                click.echo(f"note: {text}", err=True)


def trial_fields(trial: Trial, what: str) -> dict[str, Any]:
    """Return a trial as a JSON line has it."""
    score = trial.score
    return {
        "kind": "trial",
        "trial": trial.number,
        "what": what,
        "state": trial.state,
        "params": dict(trial.params),
        "value": score.value if score else None,
        "interval": [score.low, score.high] if score and score.low is not None else None,
        "runs": [{"run_id": one.run_id, "pod": one.pod} for one in trial.attempts],
        "seconds": trial.seconds,
        "why": trial.why,
    }
