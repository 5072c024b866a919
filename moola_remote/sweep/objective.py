"""The goal of a trial, read from what its run left: result.json, events.jsonl, or a log line."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from moola_remote.config.typed import read_json
from moola_remote.errors import ConfigError
from moola_remote.protocol.events import MAX_EVENT_BYTES, EpochEvent
from moola_remote.protocol.types import MAX_RESULT_BYTES
from moola_remote.sweep.trial import Score

# The user's pattern meets a pod's line: a long one would cost too much.
MAX_LINE = 4096
BLOCK = 1 << 16


def read_metric(pattern: str) -> re.Pattern[str]:
    """Read ``--metric``: a pattern whose group has the number.

    Raises:
        ConfigError: it is no pattern, or has no group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as err:
        raise ConfigError(f"--metric {pattern}: not a regular expression, {err}") from err
    if compiled.groups < 1:
        raise ConfigError(
            f"--metric {pattern}: expected a group around the number",
            r"for example --metric 'loss (\S+)'",
        )
    return compiled


def read_score(folder: Path, goal: str, metric: str | None = None) -> Score | None:
    """Return what a fetched run scored; None where it says nothing that is a finite number.

    Args:
        folder: of the fetched run.
        goal: a score of the validation split, or a dotted key of ``result.json``.
        metric: a pattern; the last line of the log that it matches has the goal.
    """
    if metric is not None:
        return _of_log(folder / "log", read_metric(metric))
    for path in (folder / "result.json", folder / "workdir" / "result.json"):
        score = _of_result(_read(path), goal)
        if score is not None:
            return score
    return _of_events(folder / "events.jsonl", goal)


def score_of_epoch(event: EpochEvent, goal: str) -> float | None:
    """Return the goal at the end of an epoch; None where it isn't known then."""
    for table in (event.scores, event.validation):
        value = table.get(goal.removeprefix("validation."))
        if value is not None and math.isfinite(value):
            return value
    return None


def _of_result(result: Mapping[str, Any], goal: str) -> Score | None:
    scores = result.get("scores")
    roots: list[Any] = [result, scores]
    if isinstance(scores, dict):
        roots.append(scores.get("validation"))
    for root in roots:
        score = _score(_walk(root, goal))
        if score is not None:
            return score
    return None


def _walk(root: Any, goal: str) -> Any:
    """Follow a dotted key; a key that has the dots in its name comes first."""
    if not isinstance(root, dict):
        return None
    if goal in root:
        return root[goal]
    head, dot, rest = goal.partition(".")
    return _walk(root.get(head), rest) if dot else None


def _score(found: Any) -> Score | None:
    table = found if isinstance(found, dict) else {"value": found}
    value, low, high = (_finite(table.get(key)) for key in ("value", "low", "high"))
    return None if value is None else Score(value, low, high)


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    with contextlib.suppress(OverflowError):
        return float(value) if math.isfinite(float(value)) else None
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            table = read_json(file.read(MAX_RESULT_BYTES))
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}


def _of_events(path: Path, goal: str) -> Score | None:
    """Return the last value of the goal in the events, of any kind."""
    found: Score | None = None
    for line in _lines(path, MAX_EVENT_BYTES):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(event, dict):
            continue
        for root in (event, event.get("scores"), event.get("validation")):
            score = _score(_walk(root, goal.removeprefix("validation.")))
            if score is not None:
                found = score
                break
    return found


def _of_log(path: Path, pattern: re.Pattern[str]) -> Score | None:
    found: Score | None = None
    for line in _lines(path, MAX_LINE):
        match = pattern.search(line.decode("utf-8", "replace"))
        if match is None:
            continue
        with contextlib.suppress(TypeError, ValueError):
            value = float(match[1])
            found = Score(value) if math.isfinite(value) else None
    return found


def _lines(path: Path, limit: int) -> Iterator[bytes]:
    """Yield the lines of a file; one that is longer than `limit` is passed over."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        while line := file.readline(limit):
            if line.endswith(b"\n") or len(line) < limit:
                yield line
                continue
            while line and not line.endswith(b"\n"):
                line = file.readline(BLOCK)
