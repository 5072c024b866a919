"""The study: Optuna decides what is tried; all that knows Optuna is here.

The journal is Optuna's own file. A number is asked, its parameters and the id of its run are
written before the run is started, and its end is recorded once.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage
from optuna.trial import FrozenTrial, TrialState

from moola_remote.errors import ConfigError
from moola_remote.sweep.plan import Early, Plan
from moola_remote.sweep.space import Space, Value
from moola_remote.sweep.trial import SETTLED, Attempt, Score, State, Trial

STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
OPTUNA_STATES: dict[State, TrialState] = {state: theirs for theirs, state in STATES.items()}
# The first rung of asha, in epochs; each rung is three times the one before.
FIRST_RUNG = 3
STARTUP_TRIALS = 5


class FileLock(JournalFileOpenLock):
    """A lock that ends with its process; Optuna's own is a file, and a stale one holds 30 s."""

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(f"{journal.name}.lock")
        self._fd = -1

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        """Let it go."""
        os.close(self._fd)


def repair(journal: Path) -> int:
    """Cut the half line that a killed process left; return its bytes.

    Only for the one process that holds the sweep.
    """
    if not journal.exists():
        return 0
    with journal.open("r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        file.truncate(whole)
    return len(content) - whole


class Study:
    """The trials of one sweep; not safe for two threads at once.

    Args:
        journal: Optuna's file.
        plan: of the sweep.
        is_writing: whether trials are asked for and recorded; otherwise it is only read.

    Raises:
        ConfigError: the journal can't be read.
    """

    def __init__(self, journal: Path, plan: Plan, *, is_writing: bool) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.plan = plan
        if is_writing:
            repair(journal)
        elif not journal.exists():
            raise ConfigError(f"sweep {plan.sweep_id}: no trial was begun yet")
        try:
            storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=FileLock(journal)))
            is_new = not storage.get_all_studies()
            if is_new and is_writing:
                optuna.create_study(
                    study_name=plan.sweep_id, storage=storage, direction=plan.goal.direction
                )
            self._study = optuna.load_study(study_name=plan.sweep_id, storage=storage)
        except (KeyError, ValueError, OSError) as err:
            raise ConfigError(f"{journal}: not the study of this sweep, {err}") from err
        self._spaces = plan.tried
        self._trials: dict[int, optuna.trial.Trial] = {}
        self._settled: dict[int, Trial] = {}
        if is_writing:
            known = len(self._study.get_trials(deepcopy=False))
            self._study.sampler = _sampler(plan.seed + known)
            self._study.pruner = _pruner(plan.early)
            for row in plan.table()[known:] if plan.engine == "pods" else ():
                self._study.enqueue_trial(row)

    def trials(self) -> list[Trial]:
        """Return every trial, by number."""
        return [self._read(frozen) for frozen in self._study.get_trials(deepcopy=False)]

    def trial(self, number: int) -> Trial:
        """Return one trial."""
        return self._read(self._study.get_trials(deepcopy=False)[number])

    def _read(self, frozen: FrozenTrial) -> Trial:
        """Return a trial of Optuna's as one of ours; one that has ended is read once."""
        known = self._settled.get(frozen.number)
        if known is None:
            known = _trial(frozen)
            if known.state in SETTLED:
                self._settled[frozen.number] = known
        return known

    def ask(self) -> Trial:
        """Have the optimiser choose; the number and its parameters are in the journal then."""
        trial = self._study.ask()
        self._trials[trial.number] = trial
        for space in self._spaces:
            _suggest(trial, space)
        return self.trial(trial.number)

    def adopt(self, params: Mapping[str, Value], attempts: Sequence[Attempt]) -> Trial:
        """Take a trial that was chosen and begun elsewhere, as the next number.

        Raises:
            ConfigError: its parameters are not of the spaces.
        """
        number = len(self._study.get_trials(deepcopy=False))
        try:
            trial = optuna.trial.create_trial(
                state=TrialState.RUNNING,
                params=dict(params),
                distributions={space.key: distribution_of(space) for space in self._spaces},
                user_attrs={"runs": _pairs(attempts)},
            )
        except ValueError as err:
            raise ConfigError(f"trial {number}: not of the spaces of this sweep, {err}") from err
        self._study.add_trial(trial)
        return self.trial(number)

    def complete_params(self, number: int) -> Trial:
        """Return a trial whose asking may have been cut off, with all of its parameters."""
        for space in self._spaces:
            _suggest(self._open(number), space)
        return self.trial(number)

    def note_attempt(self, number: int, attempt: Attempt) -> None:
        """Write down which run is about to be started for a trial."""
        trial = self.trial(number)
        self._open(number).set_user_attr("runs", _pairs([*trial.attempts, attempt]))
        if trial.is_cancelled:
            self.note(number, "why", "")

    def note(self, number: int, key: str, value: Any) -> None:
        """Write down something about a trial that has not ended."""
        self._open(number).set_user_attr(key, value)

    def report(self, number: int, step: int, value: float) -> bool:
        """Take an intermediate value; return whether the trial should be pruned.

        A step that was reported already keeps its value: a stream is replayed after a crash.
        """
        trial = self._open(number)
        if step not in self.trial(number).steps:
            trial.report(value, step)
        return self.plan.early != "none" and trial.should_prune()

    def tell(self, number: int, state: State, score: Score | None = None, why: str = "") -> bool:
        """Record how a trial ended, once; return False where that was recorded before."""
        if self.trial(number).state != "running":
            return False
        trial = self._open(number)
        if why:
            trial.set_user_attr("why", why)
        if score is not None and score.low is not None and score.high is not None:
            trial.set_user_attr("interval", [score.low, score.high])
        value = None if score is None or state == "failed" else score.value
        self._study.tell(number, value, state=OPTUNA_STATES[state])
        return True

    def importance(self) -> dict[str, float]:
        """Return each key's share in how the goal differs; empty where it can't be known."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = optuna.importance.get_param_importances(self._study)
            except (ValueError, RuntimeError, ImportError):
                return {}
        return {key: float(share) for key, share in found.items()}

    def _open(self, number: int) -> optuna.trial.Trial:
        if number not in self._trials:
            frozen = self._study.get_trials(deepcopy=False)[number]
            self._trials[number] = optuna.trial.Trial(self._study, frozen._trial_id)
        return self._trials[number]


def distribution_of(space: Space) -> optuna.distributions.BaseDistribution:
    """Return Optuna's form of a space."""
    if space.kind == "choice":
        return optuna.distributions.CategoricalDistribution(space.choices)
    if space.kind == "int":
        ends = int(space.low), int(space.high)
        return optuna.distributions.IntDistribution(*ends, log=space.is_log)
    return optuna.distributions.FloatDistribution(space.low, space.high, log=space.is_log)


def spaces_json(plan: Plan) -> dict[str, str]:
    """Return the spaces of a plan by key, as Optuna reads them on another machine."""
    to_json = optuna.distributions.distribution_to_json
    return {space.key: to_json(distribution_of(space)) for space in plan.tried}


def _suggest(trial: optuna.trial.Trial, space: Space) -> Value:
    if space.kind == "choice":
        return trial.suggest_categorical(space.key, space.choices)
    if space.kind == "int":
        return trial.suggest_int(space.key, int(space.low), int(space.high), log=space.is_log)
    return trial.suggest_float(space.key, space.low, space.high, log=space.is_log)


def _sampler(seed: int) -> optuna.samplers.BaseSampler:
    """TPE that counts running trials as bad, so that pods don't try the same at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant_liar is experimental, and says so
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def _pruner(early: Early) -> optuna.pruners.BasePruner:
    if early == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=FIRST_RUNG, reduction_factor=3)
    if early == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
    return optuna.pruners.NopPruner()


def _pairs(attempts: Sequence[Attempt]) -> list[list[str | bool]]:
    return [[one.run_id, one.pod, *([True] if one.is_packed else [])] for one in attempts]


def _trial(frozen: FrozenTrial) -> Trial:
    attrs = frozen.user_attrs
    state = STATES[frozen.state]
    score = None
    if frozen.value is not None and state in ("complete", "pruned"):
        low, high = attrs.get("interval", (None, None))
        score = Score(frozen.value, low, high)
    return Trial(
        frozen.number,
        state,
        dict(frozen.params) or dict(frozen.system_attrs.get("fixed_params", {})),
        tuple(Attempt(*pair) for pair in attrs.get("runs", ())),
        score,
        dict(frozen.intermediate_values),
        float(attrs.get("seconds", 0.0)),
        str(attrs.get("why", "")),
    )


def best_of(trials: Sequence[Trial], plan: Plan) -> Trial | None:
    """Return the best complete trial, the earliest of equals."""
    scored = [(one, one.score.value) for one in trials if one.state == "complete" and one.score]
    if not scored:
        return None
    sign = 1.0 if plan.goal.direction == "maximize" else -1.0
    return max(scored, key=lambda pair: sign * pair[1])[0]
