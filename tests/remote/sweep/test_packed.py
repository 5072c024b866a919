"""What the end of a run of several trials means for each of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moola_remote.protocol.state import RunState
from moola_remote.sweep.packed import judge_trial, num_tries, read_begun
from moola_remote.sweep.trial import Attempt, Trial
from moola_remote.sweep.verdict import MAX_ATTEMPTS

DONE = RunState(run_id="r", state="SUCCEEDED")
KILLED = RunState(run_id="r", state="FAILED", signal="SIGKILL", reason="killed by SIGKILL")
CANCELLED = RunState(run_id="r", state="CANCELLED", reason="cancelled")
LATE = RunState(run_id="r", state="FAILED", reason="max_time_s 60 reached")


def trial(folder: Path, end: Any = None, log: str | None = None) -> Path:
    """A trial's folder, as fetched."""
    if end is not None:
        (folder / "end.json").write_text(end if isinstance(end, str) else json.dumps(end))
    if log is not None:
        (folder / "log").write_text(log)
    return folder


@pytest.mark.parametrize("state", [DONE, KILLED, CANCELLED, LATE])
def test_a_trial_that_ended_well_counts_whatever_became_of_its_run(
    tmp_path: Path, state: RunState
) -> None:
    end = {"schema": 1, "exit_code": 0, "signal": None, "seconds": 1.5}
    verdict, seconds = judge_trial(state, trial(tmp_path, end), 1)
    assert (verdict.kind, seconds) == ("succeeded", 1.5)


@pytest.mark.parametrize(
    ("state", "end", "log", "kind", "why"),
    [
        (DONE, {"exit_code": 20}, "a\nerror: NaN\n", "failed", "exit code 20, error: NaN"),
        (DONE, {"signal": "SIGSEGV"}, None, "failed", "killed by SIGSEGV"),
        (DONE, {"signal": "SIGKILL"}, "", "again", "killed by SIGKILL"),
        (DONE, None, None, "failed", "its run ended without it"),
        (DONE, "[", None, "failed", "its run ended without it"),
        (DONE, {"exit_code": "x"}, None, "failed", "its run ended without it"),
        (KILLED, None, "x", "again", "killed by SIGKILL"),
        (KILLED, None, None, "again", "killed by SIGKILL"),
        (CANCELLED, None, None, "cancelled", "cancelled"),
        (LATE, None, "x", "failed", "max_time_s 60 reached"),
        (LATE, None, None, "again", "max_time_s 60 reached"),
    ],
)
def test_the_others_are_judged_by_their_own_end_or_that_of_the_run(
    tmp_path: Path, state: RunState, end: Any, log: str | None, kind: str, why: str
) -> None:
    verdict, _ = judge_trial(state, trial(tmp_path, end, log), 1)
    assert verdict.kind == kind
    assert verdict.why.endswith(why)


def test_a_trial_that_kills_its_process_is_given_up_in_the_end(tmp_path: Path) -> None:
    folder = trial(tmp_path, {"signal": "SIGKILL"})
    assert judge_trial(DONE, folder, MAX_ATTEMPTS - 1)[0].kind == "again"
    assert judge_trial(DONE, folder, MAX_ATTEMPTS)[0].kind == "failed"


def test_a_trial_is_not_given_up_for_the_deaths_of_those_before_it(tmp_path: Path) -> None:
    begun = {"waited": [1, 2], "alone": [3], "with others": [2, 3], "before any": []}
    for run_id, numbers in begun.items():
        for number in numbers:
            folder = tmp_path / run_id / "trials" / str(number)
            folder.mkdir(parents=True)
            trial(folder, log="")
    packed = [Attempt(run_id, "local", is_packed=True) for run_id in (*begun, "not fetched")]
    attempts = (*packed, Attempt("waited", "local"))
    assert num_tries(Trial(3, "running", attempts=attempts), tmp_path) == 5
    assert num_tries(Trial(2, "running", attempts=attempts), tmp_path) == 5
    assert num_tries(Trial(1, "running", attempts=attempts), tmp_path) == 4


def test_what_a_trial_was_begun_with_may_be_infinite(tmp_path: Path) -> None:
    begun = {"params": {"clip": float("inf"), "lr": "1e-3", "deep": True}, "nodes": ["a"]}
    (tmp_path / "params.json").write_text(json.dumps(begun))
    read = read_begun(tmp_path)
    assert read is not None
    assert read.params == begun["params"]
