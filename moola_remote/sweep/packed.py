"""What a run of several trials left of each: ``trials/NUMBER/end.json`` beside its results."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

from msgspec import Meta, structs

from moola_remote.config.typed import read_json, typed
from moola_remote.protocol.state import RunState
from moola_remote.protocol.types import Name, Remote
from moola_remote.sweep.trial import Attempt, Trial
from moola_remote.sweep.verdict import Verdict, is_own_limit, is_own_time_limit, judge
from moola_remote.text.sanitize import safe

MAX_END_BYTES = 1 << 16
LINE_BYTES = 1000
LOG = "log"


class End(Remote, frozen=True):
    """How a trial ended; `seconds` is not known of one that took its process with it."""

    exit_code: Annotated[int, Meta(ge=-(2**31), lt=2**32)] | None = None
    signal: Name | None = None
    seconds: Annotated[float, Meta(ge=0)] = 0.0


class Begun(Remote, frozen=True):
    """``params.json`` of a trial; `nodes` are those on which it was begun, one after another."""

    params: Annotated[dict[str, int | float | str | bool | None], Meta(max_length=1000)]
    nodes: Annotated[list[Name], Meta(min_length=1, max_length=1000)]


def read_end(folder: Path) -> End | None:
    """Return how a trial ended; None where it did not, or what says so can't be read."""
    with suppress(OSError, ValueError), (folder / "end.json").open("rb") as file:
        return typed(End, read_json(file.read(MAX_END_BYTES)))
    return None


def read_begun(folder: Path) -> Begun | None:
    """Return what a trial was begun with on a cluster; None where it was not, or can't be read."""
    with suppress(OSError, ValueError), (folder / "params.json").open("rb") as file:
        return typed(Begun, read_json(file.read(MAX_END_BYTES)))
    return None


def read_all_begun(folder: Path, numbers: range, state: RunState) -> tuple[list[Begun], list[int]]:
    """Return the trials that a driver on a cluster has begun, less the newest that were lost.

    Args:
        folder: where they lie, as fetched.
        numbers: that they may have, one after the other.
        state: of the driver's run, which has ended.

    Returns:
        Those from the first number on, and the numbers of the lost ones.
    """
    begun, lost = list[Begun](), list[int]()
    for number in numbers:
        found = read_begun(folder / str(number))
        if found is None:
            break
        begun.append(found)
    while begun and is_lost(state, folder / str(numbers[len(begun) - 1])):
        begun.pop()
        lost.append(numbers[len(begun)])
    return begun, lost


def is_lost(state: RunState, folder: Path) -> bool:
    """Return whether a trial on a cluster has no end because its driver ended, and not by itself.

    Args:
        state: of the driver's run, which has ended.
        folder: of the trial, as fetched.
    """
    is_unfit = state.state in ("SUCCEEDED", "CANCELLED") or is_own_limit(state)
    return not is_unfit and read_end(folder) is None


def num_tries(trial: Trial, results: Path) -> int:
    """Return how many of a trial's runs may have ended because of it.

    A packed run that ended during another trial says nothing of those that it had not begun. One
    that can't be fetched counts.

    Args:
        trial: with all its runs.
        results: where fetched runs lie.
    """

    def had_to_wait(attempt: Attempt) -> bool:
        folder = results / attempt.run_id / "trials"
        is_begun = not attempt.is_packed or (folder / str(trial.number) / LOG).exists()
        return not is_begun and any(folder.glob(f"*/{LOG}"))

    return sum(not had_to_wait(attempt) for attempt in trial.attempts)


def judge_trial(state: RunState, folder: Path, num_attempts: int) -> tuple[Verdict, float]:
    """Return what the end of a run means for one of its trials, and the seconds that it took.

    Args:
        state: of the run, which has ended.
        folder: of the trial, as fetched.
        num_attempts: see `num_tries`.
    """
    end = read_end(folder)
    if end is not None and end.exit_code == 0:
        return Verdict("succeeded"), end.seconds
    if end is not None:
        why = f"killed by {end.signal}" if end.signal else f"exit code {end.exit_code}"
        last = _last_line(folder / LOG)
        failed = structs.replace(
            state,
            state="FAILED",
            signal=end.signal,
            returncode=end.exit_code,
            reason=f"{why}, {last}" if last else why,
        )
        return judge(failed, num_attempts), end.seconds
    verdict = judge(state, num_attempts)
    if verdict.kind == "succeeded":
        return Verdict("failed", "its run ended without it"), 0.0
    if is_own_time_limit(state) and not (folder / LOG).exists():
        return Verdict("again", verdict.why), 0.0  # the others took its time
    return verdict, 0.0


def _last_line(path: Path) -> str:
    """Return the last line of a trial's log, safe to show."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LINE_BYTES))
        lines = file.read(LINE_BYTES).decode("utf-8", "replace").splitlines()
        return safe(lines[-1], 300) if lines else ""
    return ""
