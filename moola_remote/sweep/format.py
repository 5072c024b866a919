"""Trials of a sweep as text: parameters, scores, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moola_remote.sweep.plan import Plan
from moola_remote.sweep.space import Value, text_of
from moola_remote.sweep.trial import Score, Trial
from moola_remote.text.format import score
from moola_remote.text.sanitize import safe

CANCELLED = "cancelled"


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


def state_of(trial: Trial) -> str:
    """Return the state of a trial, or that it waits for its sweep to be resumed."""
    return CANCELLED if trial.is_cancelled else trial.state


def counts_line(trials: Sequence[Trial], plan: Plan) -> str:
    """Return ``21 done, 9 pruned, 4 running, 30 to go``, and what was begun again."""
    states = ("complete", "pruned", "failed", CANCELLED, "running")
    counts = {state: sum(state_of(one) == state for one in trials) for state in states}
    words = [f"{counts['complete']} done"]
    words += [f"{counts[state]} {state}" for state in states[1:] if counts[state]]
    lost = sum(max(0, len(one.attempts) - 1) for one in trials)
    words += [f"{lost} begun again"] if lost else []
    left = plan.trials - sum(counts.values())
    words += [f"{left} to go"] if left > 0 else []
    return ", ".join(words)


def ranked(trials: Sequence[Trial], plan: Plan) -> list[Trial]:
    """Return trials with a score, the best first, then the others by number."""
    sign = -1.0 if plan.goal.direction == "maximize" else 1.0

    def rank(trial: Trial) -> tuple[int, float, int]:
        if trial.state == "complete" and trial.score is not None:
            return 0, sign * trial.score.value, trial.number
        return 1, 0.0, trial.number

    return sorted(trials, key=rank)
