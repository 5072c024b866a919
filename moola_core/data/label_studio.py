"""Spans of time series as Label Studio exports them: JSON, JSON-MIN, and cells of its CSV and TSV.

Read from label-studio-sdk 2.1 (label_studio_sdk.converter) and its documentation of the format; a
region's end is the last point inside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

KEY = "timeserieslabels"
OF_TASKS = frozenset(("completions", "annotation_id", "annotation_history", KEY))
Region: TypeAlias = dict[str, Any]


def regions_of_tasks(content: Any) -> list[tuple[str, Region]]:
    """Return the regions of an export in JSON or JSON-MIN, each behind the id of its task.

    Annotations that were skipped have none.
    """
    tasks = content if isinstance(content, list) else [content]
    found = [(i, task) for i, task in enumerate(tasks) if isinstance(task, dict)]
    return [(str(task.get("id", i)), one) for i, task in found for one in _regions(task)]


def is_export(content: Any) -> bool:
    """Return whether this is an export, be it without a region of a time series."""
    tasks = content if isinstance(content, list) else [content]
    return any(isinstance(task, dict) and _is_task(task) for task in tasks)


def _is_task(task: dict[str, Any]) -> bool:
    """Return whether it is one of Label Studio, not of another program that has annotations."""
    made = _as_list(task.get("annotations", "none"))
    is_theirs = all(isinstance(one, dict) and "result" in one for one in made)
    return bool(OF_TASKS & set(task)) or ("annotations" in task and is_theirs)


def regions_of_cells(cells: Iterable[str | None], ids: Sequence[str]) -> list[tuple[str, Region]]:
    """Return the regions in the cells of a column of an export in CSV or TSV, likewise.

    Raises:
        ValueError: a cell is no JSON.
    """
    named = [(name, cell) for name, cell in zip(ids, cells, strict=True) if cell]
    return [
        (name, one) for name, cell in named for one in _as_list(json.loads(cell)) if _is_region(one)
    ]


def words_of(region: dict[str, Any]) -> str:
    """Return a region's one word; nothing if it has none, or several."""
    words = _as_list(region[KEY])
    return str(words[0]) if len(words) == 1 else ""


def _regions(task: dict[str, Any]) -> list[Region]:
    found: list[Any] = []
    for annotation in _as_list(task.get("annotations", task.get("completions"))):
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            results = _as_list(annotation.get("result"))
            found += [one.get("value") for one in results if isinstance(one, dict)]
    for value in task.values():
        found += _as_list(value)
    return [one for one in found if _is_region(one)]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_region(value: Any) -> bool:
    return isinstance(value, dict) and KEY in value
