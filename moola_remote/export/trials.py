"""The trials of a sweep as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from moola_remote.sweep.plan import Plan
from moola_remote.sweep.space import Space, text_of
from moola_remote.sweep.trial import Trial
from moola_remote.text.sanitize import safe


def trials_table(trials: Sequence[Trial], plan: Plan) -> pa.Table:
    """Return a row a trial: state, goal with its interval, settings, newest run."""
    fixed = {
        "trial": pa.int64(),
        "state": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "epochs": pa.int64(),
        "seconds": pa.float64(),
        "runs": pa.int64(),
        "run_id": pa.string(),
        "pod": pa.string(),
        "why": pa.string(),
    }
    settings = {f"param/{space.key}": _kind(space) for space in plan.tried}
    rows = [_row(trial, plan.tried) for trial in trials]
    return pa.Table.from_pylist(rows, schema=pa.schema([*fixed.items(), *settings.items()]))


def _kind(space: Space) -> pa.DataType:
    """Numbers as such, all else as text."""
    kinds = {type(choice) for choice in space.choices}
    if space.kind == "int" or kinds == {int}:
        return pa.int64()
    return pa.float64() if space.kind == "float" or kinds <= {int, float} else pa.string()


def _row(trial: Trial, spaces: Sequence[Space]) -> dict[str, Any]:
    score, attempt = trial.score, trial.attempt
    row: dict[str, Any] = {
        "trial": trial.number,
        "state": trial.state,
        "value": score.value if score else None,
        "low": score.low if score else None,
        "high": score.high if score else None,
        "epochs": max(trial.steps, default=None),
        "seconds": trial.seconds,
        "runs": len(trial.attempts),
        "run_id": attempt.run_id if attempt else None,
        "pod": attempt.pod if attempt else None,
        "why": safe(trial.why, 300),
    }
    for space in spaces:
        value = trial.params.get(space.key)
        is_text = _kind(space) == pa.string()
        row[f"param/{space.key}"] = text_of(value) if is_text and value is not None else value
    return row
