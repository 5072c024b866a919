"""What the page's script draws, as plain data: curves, gallery, timeline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from moola_remote.protocol.events import EPOCH_TABLES, EpochEvent, TelemetryEvent
from moola_remote.report.curves import curves_of
from moola_remote.report.metadata import instant, phases_of, threshold_of
from moola_remote.report.predictions import Window
from moola_remote.report.run_files import RunFiles
from moola_remote.report.score_tables import scores_of_side

MAX_POINTS = 1000  # of a curve over time
GALLERY_BYTES = 2_500_000  # of all windows together, so that the file stays below 6 MB
BYTES_A_NUMBER = 9
BYTES_A_WINDOW = 300
GIB = 2**30


def plots(run: RunFiles) -> dict[str, Any]:
    """Everything that the page's script draws; JSON but for numbers that are not finite."""
    weight = sum(map(_weight, run.windows)) or 1
    share = min(GALLERY_BYTES / weight, 1.0)
    return {
        "types": run.types,
        "epochs": epochs_of(run),
        "sides": {side: _side(run, side, share) for side in run.sides},
        "time": _time(run),
    }


def epochs_of(run: RunFiles) -> dict[str, Any]:
    """Return a list a quantity, over epochs; the best has the lowest validation total."""
    events = _thinned(list(run.view.epochs.values()))
    tables = {name: _by_name(events, name) for name in EPOCH_TABLES}
    numbers = [event.epoch for event in events]
    return {"epoch": numbers, "best": run.best_epoch, **tables}


def _thinned(values: Sequence[Any]) -> list[Any]:
    """At most `MAX_POINTS` of them, the last one among them."""
    step = -(-len(values) // MAX_POINTS) or 1
    return list(values[::-1][::step][::-1])


def _by_name(events: Sequence[EpochEvent], table: str) -> dict[str, list[float]]:
    names = dict.fromkeys(name for event in events for name in getattr(event, table))
    return {name: [getattr(event, table).get(name, math.nan) for event in events] for name in names}


def _side(run: RunFiles, side: str, share: float) -> dict[str, Any]:
    windows = run.of_side(side)
    scores = scores_of_side(run, side)
    chosen = {name: scores[name].value for name in ("f1", "precision", "recall") if name in scores}
    area = scores.get("average_precision")
    return {
        **curves_of(windows),
        "chosen": chosen,
        "threshold": threshold_of(run),
        "average_precision": area.value if area else None,
        "gallery": [card([("found", window)]) for window in worst(windows, share)],
        "num_windows": len(windows),
    }


def _weight(window: Window) -> int:
    numbers = len(window.bars or ()) + len(window.span_probs)
    return BYTES_A_WINDOW + BYTES_A_NUMBER * numbers


def worst(windows: Sequence[Window], share: float = 1.0) -> list[Window]:
    """Return the windows with the least IoU, then the surest of them, as far as there is room."""
    ranked = sorted(windows, key=lambda window: (window.iou, -window.confidence))
    if share >= 1:
        return ranked
    return ranked[: int(share * len(ranked))]


def card(judged: Sequence[tuple[str, Window]]) -> dict[str, Any]:
    """One window for the gallery, as each run (by its label) sees it.

    A bar is open, close, low, high, as the plots want it.
    """
    window = judged[0][1]
    return {
        "id": window.window_id,
        "at": instant(window.start_time / 1e9) if window.start_time >= 0 else "",
        "true": list(map(list, window.true)),
        "type": None if window.is_several else window.true_type,
        **({"types": window.true_types} if window.is_several else {}),
        "bars": _candles(window.bars or ()),
        "runs": [
            {
                "label": label,
                "spans": list(map(list, one.found)),
                **({"types": one.types} if one.types is not None else {}),
                "iou": round(one.iou, 4),
                "sure": round(one.confidence, 4),
                "type": one.said_type,
                "probs": [round(prob, 3) for prob in one.span_probs],
                **_evidence(one),
            }
            for label, one in judged
        ],
    }


def _evidence(window: Window) -> dict[str, Any]:
    """Return what networks and columns say for the span, in nats, where both were asked."""
    said = window.evidence_networks, window.evidence_columns
    if None in said or window.stop == window.start:
        return {}
    return {"evidence": [round(nats, 1) for nats in said if nats is not None]}


def _candles(bars: Sequence[float]) -> list[list[float]]:
    rows = (bars[i : i + 4] for i in range(0, len(bars), 4))
    return [
        [_seven(opened), _seven(close), _seven(low), _seven(high)]
        for opened, high, low, close in rows
    ]


def _seven(value: float) -> float:
    """Seven digits, as many as float32 has."""
    return float(f"{value:.7g}")


def _time(run: RunFiles) -> dict[str, Any]:
    """Phases in seconds since the run was queued, and how busy the pod was."""
    began = _origin(run)
    if began is None:
        return {"phases": [], "samples": {}, "idle": None}
    phases = [
        {"name": name, "from": start - began, "to": end - began}
        for name, start, end in phases_of(run)
    ]
    samples = [event for event in run.telemetry if math.isfinite(event.t)]
    return {"phases": phases, "samples": _samples(samples, began), "idle": _idle(samples, began)}


def _origin(run: RunFiles) -> float | None:
    known = [run.state.queued_at] if run.state else []
    known += [event.t for event in run.telemetry[:1]] + [run.training_began]
    return next((time for time in known if time is not None and math.isfinite(time)), None)


def _samples(events: Sequence[TelemetryEvent], began: float) -> dict[str, Any]:
    """Means over at most `MAX_POINTS` stretches, per cent and GiB; one sample makes no curve."""
    if len(events) < 2:
        return {}
    size = -(-len(events) // MAX_POINTS) or 1
    stretches = [events[i : i + size] for i in range(0, len(events), size)]
    found: dict[str, list[float]] = {"t": []}
    for stretch in stretches:
        found["t"].append(stretch[0].t - began)
        values: dict[str, list[float]] = {}
        for event in stretch:
            for name, value in _measures(event):
                values.setdefault(name, []).append(value)
        for name in {**found, **values}:
            if name != "t":
                column = found.setdefault(name, [math.nan] * (len(found["t"]) - 1))
                column.append(_mean(values.get(name, [])))
    return found


def _idle(events: Sequence[TelemetryEvent], began: float) -> list[list[float]] | None:
    """Stretches from one sample to the next that were idle; None where no sample shows it."""
    if all(event.idle is None for event in events):
        return None
    stretches: list[list[float]] = []
    for event, after in pairwise(events):
        if event.idle:
            start, stop = event.t - began, after.t - began
            if stretches and stretches[-1][1] == start:
                stretches[-1][1] = stop
            else:
                stretches.append([start, stop])
    return stretches[:MAX_POINTS]


def _measures(event: TelemetryEvent) -> Iterator[tuple[str, float]]:
    for gpu in event.gpus[:8]:
        yield f"GPU {gpu.index} use %", gpu.use_percent
        yield f"GPU {gpu.index} memory GiB", gpu.memory_used / GIB
    yield "CPU %", event.cpu_percent
    yield "RAM GiB", event.ram_used / GIB


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
