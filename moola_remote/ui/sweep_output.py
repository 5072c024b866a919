"""What is shown of a sweep while it lasts: a live table, lines in a pipe, or JSON events."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from moola_remote.sweep.format import counts_line, ranked
from moola_remote.sweep.plan import Plan
from moola_remote.sweep.study import best_of
from moola_remote.sweep.trial import Trial
from moola_remote.text.sanitize import safe
from moola_remote.ui.sweep_table import change_line, trials_table

REDRAWS_A_SECOND = 2.0
# Lines of the screen that are not trials: counts, the head, the hint, the prompt.
FRAME_LINES = 6
MAX_SHOWN = 30
HINT = "Ctrl-C leaves the runs that were begun; moola-remote sweep resume continues"


class SweepOutput:
    """One line a change on stderr, or JSON events on stdout; a context manager.

    Args:
        plan: of the sweep.
        answer: prints one JSON line; None prints text.
    """

    def __init__(self, plan: Plan, *, answer: Callable[[dict[str, Any]], None] | None) -> None:
        self._plan = plan
        self._answer = answer
        self._lock = threading.Lock()

    def __enter__(self) -> SweepOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        """Nothing is to be given back."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to another for a while."""
        yield

    def on_begin(self, trials: Sequence[Trial]) -> None:
        """See `coordinator.Watcher`."""
        if not self._answer and any(trial.state != "waiting" for trial in trials):
            click.echo(f"so far {counts_line(trials, self._plan)}", err=True)

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


class SweepScreen(SweepOutput):
    """The table of trials, redrawn while it changes; notes stay above it.

    Args:
        plan: of the sweep.
        console: a terminal.
        spent: returns USD so far.
    """

    def __init__(self, plan: Plan, console: Console, spent: Callable[[], float]) -> None:
        super().__init__(plan, answer=None)
        self._console = console
        self._spent = spent
        self._trials: dict[int, Trial] = {}
        self._live = Live(
            get_renderable=self.draw,
            console=console,
            refresh_per_second=REDRAWS_A_SECOND,
            transient=True,
        )

    def __enter__(self) -> SweepScreen:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self._live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """See `SweepOutput.paused`."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()

    def on_begin(self, trials: Sequence[Trial]) -> None:
        """See `coordinator.Watcher`."""
        with self._lock:
            self._trials = {one.number: one for one in trials if one.state != "waiting"}

    def on_trial(self, trial: Trial, what: str) -> None:
        """See `coordinator.Watcher`."""
        with self._lock:
            self._trials[trial.number] = trial
        if what.startswith("lost"):
            self.on_note(change_line(trial, what, self._plan))

    def on_step(self, trial: Trial, step: int, value: float) -> None:
        """See `coordinator.Watcher`."""
        with self._lock:
            known = self._trials.get(trial.number, trial)
            steps = {**known.steps, step: value}
            self._trials[trial.number] = replace(known, steps=steps)

    def on_note(self, text: str) -> None:
        """See `coordinator.Watcher`."""
        self._console.print(Text(f"note: {safe(text, 1000)}"))

    def draw(self) -> Group:
        """Return the screen as it is now: what runs, then the best, as many as there is room."""
        with self._lock:
            trials = list(self._trials.values())
        room = max(3, min(MAX_SHOWN, self._console.size.height - FRAME_LINES))
        running = [one for one in trials if one.state == "running"]
        others = [one for one in ranked(trials, self._plan) if one.state != "running"]
        shown = [*running[:room], *others[: max(0, room - len(running))]]
        words = counts_line(trials, self._plan)
        if self._spent():
            limit = f" of ${self._plan.max_cost_usd:.2f}" if self._plan.max_cost_usd else ""
            words += f"   ${self._spent():.2f}{limit}"
        table = trials_table(shown, self._plan, best_of(trials, self._plan))
        return Group(Text(words), *([table] if shown else []), Text(HINT, "dim"))


def sweep_output(
    plan: Plan, *, answer: Callable[[dict[str, Any]], None] | None, spent: Callable[[], float]
) -> SweepOutput:
    """Return what shows a sweep here: on a terminal the table, elsewhere lines."""
    console = Console(stderr=True, highlight=False)
    if answer is None and console.is_terminal and not console.is_dumb_terminal:
        return SweepScreen(plan, console, spent)
    return SweepOutput(plan, answer=answer)


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
