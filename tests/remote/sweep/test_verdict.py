"""When trials that fail end a sweep."""

from __future__ import annotations

import pytest

from moola_remote.sweep.trial import Attempt, Job, Trial
from moola_remote.sweep.verdict import failure_of


@pytest.mark.parametrize(
    ("complete", "failed", "ends"),
    [(0, 2, False), (0, 3, True), (2, 3, False), (2, 4, True), (3, 3, False), (3, 4, True)],
)
def test_a_sweep_ends_where_none_of_three_or_less_than_half_of_six_succeeds(
    complete: int, failed: int, ends: bool
) -> None:
    trials = [Trial(i, "complete") for i in range(complete)]
    trials += [Trial(complete + i, "failed") for i in range(failed)]
    open_ones = [Trial(complete + failed + i, "running") for i in range(5)]
    job = Job(trials[-1], Attempt("run-9", "local"), earlier=None, is_new=False)
    error = failure_of("s-1", [*trials, *open_ones], job, "exit code 3")
    assert (error is not None) == ends
    if error:
        total = complete + failed
        said = f"sweep s-1: {failed} of {total} trials failed, the last: exit code 3"
        assert error.message == said
