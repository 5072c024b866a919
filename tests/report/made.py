"""Fetched runs made up: the files that a real one has, from a seed, without training anything."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

NUM_BARS = 105
QUEUED = 1_795_478_000.0
BASE = {"schema": 1}


def make_run(
    folder: Path,
    *,
    num_windows: int = 30,
    seed: int = 0,
    skill: float = 0.6,
    side: str = "validation",
    **changes: Any,
) -> Path:
    """A folder of a run that ended well.

    Args:
        folder: made here; its name is the run's.
        num_windows: judged windows; the same `seed` draws the same bars and truth.
        seed: of everything but the answers.
        skill: the share of windows where the answer is about right.
        side: the split that was judged.
        changes: recipe settings, as in ``config.yaml``.
    """
    (folder / "artifacts").mkdir(parents=True)
    rows = make_rows(num_windows, seed, skill, side)
    parquet.write_table(pa.Table.from_pylist(rows), folder / "artifacts" / "predictions.parquet")
    config = {"name": "jade", "training": {"seed": seed, "epochs": 8}, **changes}
    write(folder / "config.yaml", config)
    write(folder / "artifacts" / "model.json", {"types": ["consolidation", "retracement"]})
    write(folder / "spec.json", spec(folder.name))
    write(folder / "state.json", state(folder.name))
    write(folder / "result.json", result(skill, side))
    lines = "".join(json.dumps(event) + "\n" for event in events(seed))
    (folder / "events.jsonl").write_text(lines)
    return folder


def write(path: Path, table: dict[str, Any]) -> None:
    """JSON, which is YAML too."""
    path.write_text(json.dumps({**BASE, **table}))


def keep_epochs(run: Path, number: int) -> None:
    """Leave the first epochs, as of a run that was short."""
    lines = (run / "events.jsonl").read_text().splitlines()
    reported = [json.loads(line) for line in lines]
    kept = [{**event, "epochs": number} for event in reported if event.get("epoch", 0) <= number]
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in kept))


def make_rows(num_windows: int, seed: int, skill: float, side: str) -> list[dict[str, Any]]:
    """Rows of predictions.parquet."""
    return [dict(row) for row in _rows(num_windows, seed, skill, side)]


@cache
def _rows(num_windows: int, seed: int, skill: float, side: str) -> list[dict[str, Any]]:
    market, answers = random.Random(seed), random.Random(f"{seed} {skill}")
    num_drawn = min(num_windows, 200)
    drawn = [_row(market, answers, skill, side) for _ in range(num_drawn)]
    return [{**_place(i), **drawn[i % num_drawn]} for i in range(num_windows)]


def _place(index: int) -> dict[str, Any]:
    start = (1_577_836_800 + 60 * 105 * index) * 10**9
    return {"window_id": f"w{index}", "group": index // 2, "start_time": start}


def _row(market: random.Random, answers: random.Random, skill: float, side: str) -> dict[str, Any]:
    true_start = market.randrange(20, 80)
    true_stop = true_start + market.randrange(4, 12)
    true_type = market.randrange(2)
    bars = _bars(market, true_start, true_stop)
    is_right = answers.random() < skill
    start = true_start + answers.randrange(-1, 2) if is_right else answers.randrange(0, 90)
    stop = start + answers.randrange(4, 12)
    probs = [
        (0.55 + 0.4 * answers.random()) if start <= bar < stop else 0.1 * answers.random() ** 2
        for bar in range(NUM_BARS)
    ]
    hits = max(0, min(stop, true_stop) - max(start, true_start))
    sure = 0.4 + 0.6 * answers.random()
    said = true_type if is_right else 1 - true_type
    return {
        "side": side,
        "start": start,
        "stop": stop,
        "confidence": sure,
        "true_start": true_start,
        "true_stop": true_stop,
        "true_type": true_type,
        "said_bars": stop - start,
        "hit_bars": hits,
        "bars": bars,
        "span_probs": probs,
        "type_probs": [1 - 0.8 * said, 0.2 + 0.6 * said],
    }


def _bars(market: random.Random, start: int, stop: int) -> list[float]:
    bars: list[float] = []
    price = 1000.0
    for bar in range(NUM_BARS):
        close = price + market.gauss(2.0 if start <= bar < stop else 0.0, 1.0)
        high = max(price, close) + abs(market.gauss(0, 0.5))
        low = min(price, close) - abs(market.gauss(0, 0.5))
        bars += [round(value, 2) for value in (price, high, low, close)]
        price = close
    return bars


def spec(run_id: str) -> dict[str, Any]:
    """What was asked for."""
    return {
        "run_id": run_id,
        "argv": ["python", "-m", "jobs.train", "--config", "configs/train/jade.yaml"],
        "code": "0123456789abcdef",
        "data": "fedcba9876543210",
        "environment": "00112233445566ff",
        "source": {"commit": "ab" * 20, "branch": "main", "dirty": True, "diff": "+ a line\n"},
        "price_per_hour": 0.5,
    }


def state(run_id: str) -> dict[str, Any]:
    """How it ended."""
    return {
        "run_id": run_id,
        "state": "SUCCEEDED",
        "returncode": 0,
        "queued_at": QUEUED,
        "started_at": QUEUED + 30,
        "ended_at": QUEUED + 150,
        "last_lines": ["scores on validation"],
    }


def result(skill: float, side: str) -> dict[str, Any]:
    """Scores that are plausible, not computed."""

    def score(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.08, "high": value + 0.08}

    names = ("f1", "precision", "recall", "iou", "iou50", "hit3", "type_f1", "average_precision")
    scores = {name: score(skill) for name in names} | {"center_mae": score(5.0)}
    rules = {"largest_bar": {"f1": score(0.2)}, "local_segment": {"f1": score(0.55)}}
    return {
        "recipe": "jade",
        "seed": 0,
        "device": "cuda (NVIDIA H100)",
        "epochs": 8,
        "decoder": {"kind": "threshold", "threshold": 0.4},
        "scores": {"validation": {}, "test": None, side: scores},
        "baselines": rules,
        "data": {"files": [{"path": "labelled/a.parquet", "sha256": "c" * 64, "windows": 210}]},
    }


def events(seed: int) -> list[dict[str, Any]]:
    """Telemetry every 5 s, 8 epochs, two tasks."""
    run = {
        "t": QUEUED + 40,
        "kind": "run",
        "recipe": "jade",
        "device": "cuda (NVIDIA H100)",
        "seed": seed,
        "epochs": 8,
        "num_parameters": 98641,
        "windows": {"train": 80, "validation": 30, "test": 0},
        "tasks": ["choice", "context_type"],
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
    }
    reported: list[dict[str, Any]] = [_telemetry(QUEUED + 30 + 5 * i, i) for i in range(20)] + [run]
    for epoch in range(1, 9):
        loss = 3.0 / epoch + 0.05 * seed
        reported.append(
            {
                "t": QUEUED + 40 + 10 * epoch,
                "kind": "epoch",
                "epoch": epoch,
                "epochs": 8,
                "seconds": 10.0,
                "train": {"total": loss, "choice": loss - 0.3, "context_type": 0.3},
                "validation": {"total": loss + 0.2, "choice": loss - 0.1, "context_type": 0.4},
                "sigma": {"choice": 1.1, "context_type": 0.9},
                "share": {"choice": 0.4, "context_type": 0.6},
                "gradient_share": {"choice": 0.8, "context_type": 0.2},
                "scores": {"f1": 0.08 * epoch, "iou": 0.07 * epoch},
            }
        )
    return [{**BASE, **event} for event in reported]


def _telemetry(time: float, i: int) -> dict[str, Any]:
    gpu = {"index": 0, "use_percent": 0.0 if i < 3 else 90.0, "memory_used": 2**31 + 2**26 * i}
    use = {"cpu_percent": 40.0 + i, "ram_used": 2**33, "ram_total": 2**35}
    return {"t": time, "kind": "telemetry", "idle": i < 3, "gpus": [gpu], **use}
