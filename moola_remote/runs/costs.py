"""What each run that this laptop has seen has cost: its pod's price, and the pod's clock."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moola_remote.config.paths import STATE
from moola_remote.config.typed import read_json
from moola_remote.errors import TransferError
from moola_remote.protocol.state import RunState, read_state
from moola_remote.protocol.types import MAX_RESULT_BYTES
from moola_remote.text.sanitize import safe

MAX_LINE_BYTES = 1 << 16


@dataclass(frozen=True)
class RunCost:
    """Seconds of a run's job, and USD; None where this laptop never saw it running.

    `is_over` is False where its end was not seen: then it has cost that much at least.
    """

    run_id: str
    seconds: float | None
    usd: float | None
    is_over: bool


def run_costs(results: Path, journals: Path) -> list[RunCost]:
    """Return a line a run whose pod has a price, fetched or only followed, the oldest first.

    Args:
        results: the project's fetched runs.
        journals: what this laptop keeps of every run, by pod.
    """
    folders: dict[str, list[Path]] = {}
    for folder in [*results.glob("[!.]*/"), *journals.glob("*/[!.]*/")]:
        folders.setdefault(folder.name, []).append(folder)
    looks = (_look(name, folders[name]) for name in sorted(folders))
    return [cost for cost in looks if cost is not None]


def _look(name: str, folders: list[Path]) -> RunCost | None:
    """Return what this laptop knows of a run's cost; None where its pod has no price."""
    states = [state for folder in folders if (state := _state(folder)) is not None]
    prices = [_read(folder / "spec.json").get("price_per_hour") for folder in reversed(folders)]
    price = next(filter(_is_price, [*prices, *(state.price_per_hour for state in states)]), None)
    if price is None:
        return None
    over = next((state for state in states if state.ended_at is not None), None)
    if over is not None:
        seconds = over.took_s if over.started_at is not None else 0.0
    else:
        known = [state.took_s for state in states] + [_span(folder) for folder in folders]
        seconds = max(filter(None, known), default=None)
    usd = None if seconds is None else seconds * price / 3600
    return RunCost(safe(name, 80), seconds, usd, over is not None)


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf


def _state(folder: Path) -> RunState | None:
    with contextlib.suppress(TransferError):
        return read_state(_read(folder / STATE))
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            value = read_json(file.read(MAX_RESULT_BYTES))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _span(folder: Path) -> float | None:
    """Seconds from a run's first event to its last."""
    path = folder / "events.jsonl"
    try:
        with path.open("rb") as file:
            first = file.readline(MAX_LINE_BYTES)
            file.seek(max(0, path.stat().st_size - MAX_LINE_BYTES))
            last = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
        began, ended = (float(read_json(line)["t"]) for line in (first, last))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return max(0.0, ended - began) if math.isfinite(ended - began) else None
