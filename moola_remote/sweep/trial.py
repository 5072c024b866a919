"""One trial of a sweep as everything but the optimiser sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from moola_remote.sweep.space import Value

State: TypeAlias = Literal["waiting", "running", "complete", "pruned", "failed"]
# Of a trial that is still to be done: `sweep resume` begins it again.
WITH_SWEEP = "cancelled with the sweep"
SETTLED: frozenset[State] = frozenset({"complete", "pruned", "failed"})


@dataclass(frozen=True)
class Attempt:
    """A run that was begun for a trial, and its pod; noted before the run is started.

    Attributes:
        is_packed: the run does other trials, too, each in a folder of its own.
    """

    run_id: str
    pod: str
    is_packed: bool = False


@dataclass(frozen=True)
class Score:
    """What a trial scored, with its interval where its result has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Trial:
    """A trial as the study has it.

    Attributes:
        number: counts from 0.
        state: every number ends in exactly one of `SETTLED`.
        params: value by key of the space.
        attempts: the runs that were begun for it, the newest last.
        score: of one that is complete or pruned.
        steps: the goal by epoch, as far as it was reported.
        seconds: that its runs took.
        why: it failed, was pruned, or is begun again.
    """

    number: int
    state: State
    params: Mapping[str, Value] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    score: Score | None = None
    steps: Mapping[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    why: str = ""

    @property
    def attempt(self) -> Attempt | None:
        """The run that counts: the newest."""
        return self.attempts[-1] if self.attempts else None

    @property
    def is_cancelled(self) -> bool:
        """Whether its run was cancelled with the sweep, so that it is begun again."""
        return self.state == "running" and self.why == WITH_SWEEP

    def folder(self, results: Path) -> Path | None:
        """Return where what the newest run left of this trial lies once it is fetched."""
        if self.attempt is None:
            return None
        run = results / self.attempt.run_id
        return run / "trials" / str(self.number) if self.attempt.is_packed else run


@dataclass(frozen=True)
class Job:
    """A run that is to be started, or is going on, for a trial.

    Attributes:
        trial: with all its parameters.
        attempt: the run and its pod; in the journal already.
        earlier: the run before it on the same pod, whose checkpoints it may resume from.
        is_new: the run can't have been started before.
    """

    trial: Trial
    attempt: Attempt
    earlier: Attempt | None
    is_new: bool
