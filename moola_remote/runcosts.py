"""What each fetched run has cost: its pod's price, and its own clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from moola_remote.events import MAX_RESULT_BYTES
from moola_remote.screen import safe

MAX_LINE_BYTES = 1 << 16


@dataclass(frozen=True)
class RunCost:
    """Seconds from a run's first event to its last, and USD; None where its pod had no price."""

    run_id: str
    seconds: float
    usd: float | None


def run_costs(results: Path) -> list[RunCost]:
    """A line a fetched run that has a spec, the oldest first."""
    return [_look(path.parent) for path in sorted(results.glob("[!.]*/spec.json"))]


def _look(folder: Path) -> RunCost:
    price = _read(folder / "spec.json").get("price_per_hour")
    seconds = _seconds(folder / "events.jsonl")
    usd = None
    if isinstance(price, int | float) and 0 <= price < math.inf:
        usd = seconds * float(price) / 3600
    return RunCost(safe(folder.name, 80), seconds, usd)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            value = from_json(file.read(MAX_RESULT_BYTES))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _seconds(path: Path) -> float:
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE_BYTES)
            file.seek(max(0, path.stat().st_size - MAX_LINE_BYTES))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
        began, ended = (float(from_json(line)["t"]) for line in (first, last))
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
    return max(0.0, ended - began) if math.isfinite(ended - began) else 0.0
