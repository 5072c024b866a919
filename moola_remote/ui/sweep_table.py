"""A sweep in a terminal: one line a change, and the table of its trials."""

from __future__ import annotations

from collections.abc import Sequence

from moola_remote.sweep.format import (
    number_words,
    params_words,
    score_words,
    short,
    state_of,
    value_words,
)
from moola_remote.sweep.plan import Plan
from moola_remote.sweep.trial import Trial
from moola_remote.text.format import duration
from moola_remote.text.sanitize import safe
from moola_remote.ui.tables import Cell, Columns

STYLES = {
    "complete": "green",
    "running": "bold",
    "pruned": "yellow",
    "failed": "bold red",
    "waiting": "dim",
}
MAX_WHY = 200


def change_line(trial: Trial, what: str, plan: Plan) -> str:
    """Return what happened to a trial, on one line."""
    attempt = trial.attempt
    pod = f" on {attempt.pod}" if attempt else ""
    words = [f"trial {trial.number}{pod}: {safe(what, MAX_WHY)}"]
    if trial.score is not None:
        words.append(f"{plan.goal.name} {score_words(trial.score)}")
    if trial.why and what in ("failed", "pruned"):
        words.append(safe(trial.why, MAX_WHY))
    if what == "begun":
        words.append(params_words(trial.params))
    return ", ".join(words)


def trials_table(trials: Sequence[Trial], plan: Plan, best: Trial | None) -> Columns:
    """Return the trials in the order given; `ranked` has the best first."""
    keys = [space.key for space in plan.tried]
    heads = ["trial", "state", plan.goal.name, *map(short, keys), "took", "pod", "run"]
    rows = [_row(trial, keys, best) for trial in trials]
    last = len(heads) - 1
    return Columns(heads, rows, right=frozenset(range(2, last - 1)) | {0}, flexible=last)


def _row(trial: Trial, keys: Sequence[str], best: Trial | None) -> list[Cell]:
    attempt = trial.attempt
    state = "best" if best is not None and trial.number == best.number else state_of(trial)
    what = f"{state}: {trial.why}" if trial.why and state in ("failed", "pruned") else state
    scored = score_words(trial.score)
    if state == "running" and trial.steps:
        step = max(trial.steps)
        what, scored = f"running, {step}", number_words(trial.steps[step])
    return [
        Cell(str(trial.number)),
        Cell(safe(what, MAX_WHY), STYLES.get(trial.state, "")),
        Cell(scored),
        *(Cell(value_words(trial.params[key]) if key in trial.params else "") for key in keys),
        Cell(duration(trial.seconds) if trial.seconds else ""),
        Cell(attempt.pod if attempt else ""),
        Cell(attempt.run_id if attempt else ""),
    ]
