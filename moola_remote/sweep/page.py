"""The page of a sweep: settings against the goal, how it went, and which trials differ clearly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from moola_remote.report import html
from moola_remote.report.index_rows import PAGE
from moola_remote.report.sortable import Field, Head, cells_of
from moola_remote.sweep.checks import describe
from moola_remote.sweep.differences import Difference, differences
from moola_remote.sweep.format import (
    counts_line,
    number_words,
    params_words,
    ranked,
    short,
    state_of,
    value_words,
)
from moola_remote.sweep.plan import Plan, SweepFolder
from moola_remote.sweep.space import Space, Value, text_of
from moola_remote.sweep.study import Study, best_of
from moola_remote.sweep.trial import Trial
from moola_remote.text.format import duration
from moola_remote.text.sanitize import safe

SCRIPTS = ("echarts.min.js", "plots.js", "sweep.js", "page.js", "index.js")
MAX_STEPS = 2000


@dataclass(frozen=True)
class Shown:
    """What the page says in words.

    Attributes:
        verdict: which trials can't be distinguished from the best.
        equals: rows about that.
        costs: what was spent, and on which trials the time was.
    """

    sweep_id: str
    what: str
    counts: str
    goal: str
    best: dict[str, str] | None = None
    verdict: str = ""
    equals: list[dict[str, Any]] = field(default_factory=list)
    costs: list[tuple[str, str]] = field(default_factory=list)


def write_page(folder: SweepFolder, results: Path, out: Path | None, spent: float) -> Path:
    """Write the page of a sweep; return where it is.

    Args:
        folder: of the sweep.
        results: where fetched runs lie.
        out: None is ``report.html`` beside the study.
        spent: USD.

    Raises:
        ConfigError: it can't be written, or the study can't be read.
    """
    plan = folder.read_plan()
    study = Study(folder.journal, plan, is_writing=False)
    path = out or folder.path / PAGE
    html.write(path, page(plan, study.trials(), study.importance(), results, spent))
    return path


def page(
    plan: Plan,
    trials: Sequence[Trial],
    importance: Mapping[str, float],
    results: Path,
    spent: float,
) -> str:
    """Return the page, as HTML."""
    best = best_of(trials, plan)
    compared = differences(results, ranked(trials, plan), best, plan.goal.name) if best else []
    shown = Shown(
        plan.sweep_id,
        describe(plan),
        counts_line(trials, plan),
        safe(plan.goal.name, 60),
        _best(best),
        _verdict(compared, trials),
        [_difference(one) for one in compared],
        _costs(trials, spent),
    )
    rows = [(short(key), round(share, 4)) for key, share in importance.items()]
    data = {
        "goal": plan.goal.name,
        "is_max": plan.goal.direction == "maximize",
        "best": best.number if best else None,
        "axes": [_axis(space) for space in plan.tried],
        "trials": [_trial(trial, plan.tried) for trial in trials],
        "importance": rows,
    }
    heads, table = _table(plan, ranked(trials, plan), best, results)
    return html.render(
        "sweep.html",
        data,
        scripts=SCRIPTS,
        sweep=shown,
        heads=heads,
        rows=table,
        has_curves=any(trial.steps for trial in trials),
        has_importance=len(rows) > 1,
    )


def _best(best: Trial | None) -> dict[str, str] | None:
    if best is None or best.score is None:
        return None
    score, interval = best.score, ""
    if score.low is not None and score.high is not None:
        interval = f"{number_words(score.low)} to {number_words(score.high)}"
    params = params_words(best.params)
    words = {"score": number_words(score.value), "interval": interval, "params": params}
    return {"number": str(best.number), **words}


def _verdict(compared: Sequence[Difference], trials: Sequence[Trial]) -> str:
    if not compared:
        has_windows = "share no judged windows with it" if len(trials) > 1 else "are none"
        return f"Other trials {has_windows}, so that nothing says how far ahead it is."
    alike = [str(one.number) for one in compared if not one.is_clear]
    if not alike:
        return "Every other trial differs clearly from it, by a paired bootstrap on shared windows."
    return (
        "By a paired bootstrap on shared windows these can't be distinguished from it: "
        f"{', '.join(alike)}. "
        "The best of many trials looks better than it is."
    )


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "number": one.number,
        "difference": f"{one.value:+.3f}",
        "interval": f"{one.low:+.3f} to {one.high:+.3f}",
        "is_clear": one.is_clear,
    }


def _costs(trials: Sequence[Trial], spent: float) -> list[tuple[str, str]]:
    """Return what was spent, and the time that trials took; empty where nothing was."""
    if not spent:
        return []
    rows = [("all pods", f"${spent:.2f}")]
    seconds = {
        state: sum(trial.seconds for trial in trials if trial.state == state)
        for state in ("complete", "pruned", "failed")
    }
    rows += [(f"time of {state} trials", duration(took)) for state, took in seconds.items() if took]
    return rows


def _axis(space: Space) -> dict[str, Any]:
    if space.kind == "choice":
        names = [safe(text_of(value), 40) for value in space.choices]
        return {"name": short(space.key), "type": "category", "data": names}
    return {"name": short(space.key), "type": "log" if space.is_log else "value"}


def _trial(trial: Trial, spaces: Sequence[Space]) -> dict[str, Any]:
    steps = sorted(trial.steps.items())[-MAX_STEPS:]
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.score.value if trial.score else None,
        "params": [_point(trial.params.get(space.key), space) for space in spaces],
        "steps": steps,
    }


def _point(value: Value, space: Space) -> float | str | None:
    if space.kind == "choice":
        return safe(text_of(value), 40)
    return value if isinstance(value, int | float) else None


def _table(
    plan: Plan, trials: Sequence[Trial], best: Trial | None, results: Path
) -> tuple[list[Head], list[str]]:
    is_down = plan.goal.direction == "maximize"
    keys = [space.key for space in plan.tried]
    heads = [
        *(Head("trial", True, False), Head("state"), Head(plan.goal.name, True, is_down)),
        *(Head(short(key), True) for key in keys),
        *(Head("took", True), Head("runs", True), Head("run")),
    ]
    rows = [_row(trial, keys, best, results) for trial in trials]
    return heads, [cells_of(row, heads, has_name=True) for row in rows]


def _row(trial: Trial, keys: Sequence[str], best: Trial | None, results: Path) -> list[Field]:
    score, attempt = trial.score, trial.attempt
    interval = ""
    if score is not None and score.low is not None and score.high is not None:
        interval = f"{number_words(score.low)} to {number_words(score.high)}"
    link = ""
    if attempt is not None and (results / attempt.run_id / PAGE).is_file():
        link = f"../../{quote(attempt.run_id)}/{PAGE}"
    run = Field(attempt.run_id, attempt.run_id, attempt.pod, link) if attempt else Field("")
    state = "best" if best is not None and best.number == trial.number else state_of(trial)
    return [
        Field(str(trial.number), trial.number),
        Field(state, state, safe(trial.why, 200)),
        Field(number_words(score.value), score.value, interval) if score else Field(""),
        *(_value_field(trial.params.get(key)) for key in keys),
        Field(duration(trial.seconds), trial.seconds) if trial.seconds else Field(""),
        Field(str(len(trial.attempts)), len(trial.attempts)),
        run,
    ]


def _value_field(value: Value) -> Field:
    is_number = isinstance(value, int | float)
    return Field(value_words(value), float(value) if is_number else text_of(value))  # type: ignore[arg-type]
