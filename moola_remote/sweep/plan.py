"""What a sweep is asked to do, and its folder; ``sweep.json`` is written before anything starts."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from moola_remote.config.settings import Project, Strict
from moola_remote.config.typed import WrongValueError, decoded, indented_json_of
from moola_remote.errors import ConfigError
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable
from moola_remote.report.score_names import is_low_good
from moola_remote.runs.filters import is_named
from moola_remote.sweep.space import Space, Value, read_space, table_of

SEED = "seed"
Direction = Literal["minimize", "maximize"]
Early = Literal["none", "median", "asha"]
Engine = Literal["pods", "ray"]


class Goal(Strict, frozen=True):
    """The score that trials are judged by."""

    name: str
    direction: Direction

    def __str__(self) -> str:
        """Return the goal as it is typed."""
        return f"{self.name}:{self.direction[:3]}"


def read_goal(text: str) -> Goal:
    """Read ``f1``, ``loss:min`` or ``accuracy:max``; errors and losses are minimised unasked.

    Raises:
        ConfigError: it is none.
    """
    name, _, word = text.partition(":")
    directions: dict[str, Direction] = {"min": "minimize", "max": "maximize"}
    if not re.fullmatch(r"[\w.\-/@ ]{1,60}", name) or (":" in text and word not in directions):
        raise ConfigError(f"--goal {text}: expected NAME, NAME:min or NAME:max")
    word = word or ("min" if is_low_good(name) else "max")
    return Goal(name, directions[word])


class Plan(Strict, frozen=True, kw_only=True):
    """``sweep.json``: what was asked for; nothing of it changes once the sweep has begun.

    Attributes:
        command: the words of the user's own program, with ``{key}`` in them; empty for a recipe.
        settings: ``--set`` of every trial.
        spaces: ``--try``, as typed; drawn by the optimiser.
        grid: ``--grid``, as typed; every combination is a trial.
        seeds: of a static plan, or empty.
        folds: judge each trial by cross-validation over so many; None by its own validation.
        repeats: of that, each with other folds.
        pack: so many trials are done by one run, one after another in one warm process.
        metric: the pattern of a line of the log that has the goal, or None.
        engine: who gives trials to pods: this laptop, or Ray Tune on a cluster.
        address: of a cluster that runs already, HOST:PORT; None: the pods become one.
        pods: their names.
        secrets: names alone; the values are asked for again.
        max_time_s: of one trial, enforced on the pod.
        max_cost_usd: of the whole sweep, all pods together.
        then: what is done with a pod that has nothing left to do.
    """

    schema_version: Literal[1] = field(default=1, name="schema")
    sweep_id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,59}\Z")]
    label: str
    recipe: str | None = None
    command: list[str] = []
    settings: list[str] = []
    spaces: list[str] = []
    grid: list[str] = []
    seeds: list[int] = []
    goal: Goal
    metric: str | None = None
    trials: Annotated[int, Meta(ge=1)]
    folds: Annotated[int, Meta(ge=2)] | None = None
    repeats: Annotated[int, Meta(ge=1)] = 1
    pack: Annotated[int, Meta(ge=1, le=256)] = 1
    early: Early = "none"
    engine: Engine = "pods"
    address: Annotated[str, Meta(max_length=300)] | None = None
    pods: Annotated[list[str], Meta(min_length=1)]
    data: dict[str, Path] = {}
    env: dict[str, str] = {}
    secrets: list[str] = []
    max_time_s: float | None = None
    max_cost_usd: float | None = None
    then: Literal["stop", "down"] | None = None
    seed: int = 0

    @property
    def is_static(self) -> bool:
        """Whether all trials are known beforehand: nothing has to be asked between two of them."""
        return bool(self.grid or self.seeds)

    @property
    def is_packed(self) -> bool:
        """Whether one run does several trials, each in a folder of its own."""
        return self.pack > 1 or self.engine == "ray"

    @property
    def score_key(self) -> str:
        """Where a run's result has the goal."""
        return f"recipe.{self.goal.name}" if self.folds else self.goal.name

    @property
    def tried(self) -> list[Space]:
        """The spaces in the order in which they are drawn."""
        static = [read_space(text, "--grid") for text in self.grid]
        seeds = [Space(SEED, "choice", choices=tuple(self.seeds))] if self.seeds else []
        return [*static, *seeds, *(read_space(text) for text in self.spaces)]

    def table(self) -> list[dict[str, Value]]:
        """Return the trials of a static plan."""
        return table_of(self.tried) if self.is_static else []


@dataclass(frozen=True)
class SweepFolder:
    """The files of one sweep, below ``results/sweeps``."""

    path: Path

    @property
    def sweep_id(self) -> str:
        """The name of the folder."""
        return self.path.name

    @property
    def plan(self) -> Path:
        """``sweep.json``."""
        return self.path / "sweep.json"

    @property
    def journal(self) -> Path:
        """``study.journal``: Optuna's own file, which `optuna.load_study` opens."""
        return self.path / "study.journal"

    @property
    def money(self) -> Path:
        """``money.json``: which pod was used when, at which price."""
        return self.path / "money.json"

    @property
    def cluster(self) -> Path:
        """``cluster.json``: the runs that are nodes and driver of a Ray cluster, while it is up."""
        return self.path / "cluster.json"

    @property
    def cancelled(self) -> Path:
        """``cancelled``: no further trial is begun."""
        return self.path / "cancelled"

    def last_seen(self) -> float | None:
        """Unix time at which this laptop wrote to the study last; None where it never did."""
        try:
            return self.journal.stat().st_mtime
        except OSError:
            return None

    def write_plan(self, plan: Plan) -> None:
        """Make the folder and write ``sweep.json``.

        Raises:
            LimitError: it can't be written.
            ConfigError: a word in it is no UTF-8.
        """
        try:
            content = indented_json_of(plan)
        except UnicodeEncodeError as err:
            raise ConfigError(
                f"sweep: {err.object!r} is no UTF-8, expected commands and settings in UTF-8",
                "rename the file that it names",
            ) from err
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            atomic.write(self.plan, content)
        except OSError as err:
            raise unwritable(self.plan, err) from err

    def read_plan(self) -> Plan:
        """Read ``sweep.json``.

        Raises:
            ConfigError: it can't be read, or is not a plan.
        """
        try:
            return decoded(Plan, self.plan.read_bytes())
        except OSError as err:
            raise ConfigError(f"{self.plan}: can't be read, {err.strerror}") from err
        except WrongValueError as fault:
            raise ConfigError(f"{self.plan}: {fault.key or 'the file'}: {fault.wrong}") from fault

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the sweep: one process alone asks for trials and ends them. Ends with the process.

        Raises:
            ConfigError: another process holds it.
        """
        fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            os.close(fd)
            raise ConfigError(
                f"sweep {self.sweep_id}: another moola-remote is working on it",
                "watch it with: moola-remote sweep show",
            ) from err
        try:
            yield
        finally:
            os.close(fd)

    def is_held(self) -> bool:
        """Return whether a process is at this sweep now."""
        try:
            with self.held():
                return False
        except ConfigError:
            return True


def folder_of(project: Project, sweep_id: str) -> SweepFolder:
    """Return the folder of a sweep."""
    return SweepFolder(project.results_folder / "sweeps" / sweep_id)


def find_sweep(project: Project, name: str | None) -> SweepFolder:
    """Return the sweep that the user means: an id, its beginning or its last part.

    Args:
        project: where sweeps lie.
        name: None is the latest.

    Raises:
        ConfigError: there is none, or several.
    """
    top = project.results_folder / "sweeps"
    known = sorted(path.parent.name for path in top.glob("*/sweep.json"))
    if not known:
        raise ConfigError(f"{top}: no sweep here yet", "begin one with: moola-remote sweep")
    found = known[-1:] if name is None else [one for one in known if is_named(one, name)]
    if len(found) == 1:
        return SweepFolder(top / found[0])
    several = f"{len(found)} are named so" if found else "unknown"
    raise ConfigError(
        f"sweep {name}: {several}, expected one like {', '.join((found or known)[-3:])}"
    )
