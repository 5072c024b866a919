"""Spans of time series as Label Studio exports them: JSON, JSON-MIN, and cells of its CSV and TSV.

Read from label-studio-sdk 2.1 (label_studio_sdk.converter) and its documentation of the format; a
region's end is the last point inside.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

KEY = "timeserieslabels"


def regions_of_tasks(content: Any) -> list[dict[str, Any]]:
    """Return the regions of an export in JSON or JSON-MIN, of annotations that were not skipped."""
    tasks = content if isinstance(content, list) else [content]
    return [one for task in tasks if isinstance(task, dict) for one in _regions(task)]


def regions_of_cells(cells: Iterable[str | None]) -> list[dict[str, Any]]:
    """Return the regions in the cells of a column of an export in CSV or TSV.

    Raises:
        ValueError: a cell is no JSON.
    """
    found = []
    for cell in cells:
        if cell:
            found += [one for one in _as_list(json.loads(cell)) if _is_region(one)]
    return found


def words_of(region: dict[str, Any]) -> str:
    """Return a region's one word; nothing if it has none, or several."""
    words = _as_list(region[KEY])
    return str(words[0]) if len(words) == 1 else ""


def _regions(task: dict[str, Any]) -> list[dict[str, Any]]:
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
