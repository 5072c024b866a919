"""Which trials differ clearly from the best, by a paired bootstrap on the windows they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from moola_remote.errors import MoolaError
from moola_remote.report.paired_bootstrap import MIN_GROUPS, lead, pair
from moola_remote.report.run_files import RunFiles, read_run
from moola_remote.sweep.trial import Trial

# The bootstrap is in plain Python; trials further down differ clearly from the best anyhow.
MAX_COMPARED = 20


@dataclass(frozen=True)
class Difference:
    """A trial's goal less that of the best, with the 95% interval of the paired bootstrap."""

    number: int
    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def differences(results: Path, trials: Sequence[Trial], best: Trial, goal: str) -> list[Difference]:
    """Compare trials with the best one.

    Args:
        results: where fetched runs lie.
        trials: the best first; the first `MAX_COMPARED` are looked at.
        best: one of them.
        goal: a score of the validation windows.

    Returns:
        Those that share windows of `MIN_GROUPS` spans or more with the best.
    """
    first = _read(results, best)
    if first is None:
        return []
    found = []
    for trial in trials[:MAX_COMPARED]:
        other = None if trial.number == best.number else _read(results, trial)
        if other is None:
            continue
        pairs = pair(first.of_side("validation"), other.of_side("validation"))
        if not pairs:
            continue
        ahead = lead(pairs, max(first.num_types, other.num_types))
        score = ahead.leads.get(goal.removeprefix("validation."))
        if score is not None and ahead.num_groups >= MIN_GROUPS and math.isfinite(score.low):
            found.append(Difference(trial.number, score.value, score.low, score.high))
    return found


def _read(results: Path, trial: Trial) -> RunFiles | None:
    folder = trial.folder(results)
    if folder is None or trial.state != "complete":
        return None
    with suppress(MoolaError):
        run = read_run(folder)
        return run if run.windows else None
    return None
