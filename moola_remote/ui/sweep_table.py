"""A sweep in a terminal: one line a change, and the table of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from moola_remote.sweep.plan import Plan
from moola_remote.sweep.space import Value, text_of
from moola_remote.sweep.trial import Score, Trial
from moola_remote.text.format import duration, score
from moola_remote.text.sanitize import safe
from moola_remote.ui.tables import Columns

STYLES = {
    "complete": "green",
    "running": "bold",
    "pruned": "yellow",
    "failed": "bold red",
    "waiting": "dim",
}
MAX_WHY = 200


def params_words(params: Mapping[str, Value]) -> str:
    """Return parameters on one line, by the last part of their keys."""
    return " ".join(f"{short(key)}={value_words(value)}" for key, value in params.items())


def short(key: str) -> str:
    """Return the last part of a dotted key."""
    return safe(key.rpartition(".")[2], 40)


def value_words(value: Value) -> str:
    """Return a value, a number with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else safe(text_of(value), 40)


def score_words(found: Score | None) -> str:
    """Return ``0.733 [0.662, 0.790]``."""
    if found is None:
        return ""
    interval = ""
    if found.low is not None and found.high is not None:
        interval = f" [{number_words(found.low)}, {number_words(found.high)}]"
    return f"{number_words(found.value)}{interval}"


def number_words(value: float) -> str:
    """Return a score as everywhere; one that would be 0.00 with three digits."""
    return f"{value:.3g}" if 0 < abs(value) < 0.01 else score(value)


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


def counts_line(trials: Sequence[Trial], plan: Plan) -> str:
    """Return ``21 done, 9 pruned, 4 running, 30 to go``; the runs that were lost, too."""
    states = ("complete", "pruned", "failed", "running")
    counts = {state: sum(one.state == state for one in trials) for state in states}
    words = [f"{counts['complete']} done"]
    words += [f"{counts[state]} {state}" for state in states[1:] if counts[state]]
    lost = sum(max(0, len(one.attempts) - 1) for one in trials)
    words += [f"{lost} lost and asked again"] if lost else []
    left = plan.trials - sum(counts.values())
    words += [f"{left} to go"] if left > 0 else []
    return ", ".join(words)


def trials_table(trials: Sequence[Trial], plan: Plan, best: Trial | None) -> Columns:
    """Return the trials in the order given; `ranked` has the best first."""
    keys = [space.key for space in plan.tried]
    heads = ["trial", "state", plan.goal.name, *map(short, keys), "took", "pod", "run"]
    rows = [_row(trial, keys, best) for trial in trials]
    last = len(heads) - 1
    return Columns(heads, rows, right=frozenset(range(2, last - 1)) | {0}, flexible=last)


def ranked(trials: Sequence[Trial], plan: Plan) -> list[Trial]:
    """Return trials with a score, the best first, then the others by number."""
    sign = -1.0 if plan.goal.direction == "maximize" else 1.0

    def rank(trial: Trial) -> tuple[int, float, int]:
        if trial.state == "complete" and trial.score is not None:
            return 0, sign * trial.score.value, trial.number
        return 1, 0.0, trial.number

    return sorted(trials, key=rank)


def _row(trial: Trial, keys: Sequence[str], best: Trial | None) -> list[Text]:
    attempt = trial.attempt
    state = "best" if best is not None and trial.number == best.number else trial.state
    what = f"{state}: {trial.why}" if trial.why and state in ("failed", "pruned") else state
    scored = score_words(trial.score)
    if state == "running" and trial.steps:
        step = max(trial.steps)
        what, scored = f"running, {step}", number_words(trial.steps[step])
    return [
        Text(str(trial.number)),
        Text(safe(what, MAX_WHY), STYLES.get(trial.state, "")),
        Text(scored),
        *(Text(value_words(trial.params[key]) if key in trial.params else "") for key in keys),
        Text(duration(trial.seconds) if trial.seconds else ""),
        Text(attempt.pod if attempt else ""),
        Text(attempt.run_id if attempt else ""),
    ]
