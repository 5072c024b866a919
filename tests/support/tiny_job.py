"""A job after docs/protocol.md in the standard library alone: quick, and it ends as it is asked.

``--set end=fail|hang|late`` chooses how. It is copied into a project, and never imported here.
"""

import argparse
import json
import os
import sys
import time
from functools import partial
from pathlib import Path

RUN_EVENT = {
    "schema": 1,
    "t": time.time(),
    "kind": "run",
    "seed": 7,
    "device": "cpu",
    "versions": {"python": "3.9.1", "torch": "2.9.1"},
}
say = partial(print, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    end = dict(setting.split("=") for setting in arguments.set).get("end")
    folder = Path(os.environ["MOOLA_RUN_DIR"])
    data = Path(os.environ["MOOLA_DATA_DIR"], "numbers")
    say(f"recipe {arguments.config.stem}, data {next(data.glob('*.txt')).read_text().strip()}")
    (folder / "config.yaml").write_text(arguments.config.read_text())
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(RUN_EVENT) + "\n")
    begun = os.environ.get("MOOLA_RESUME_DIR")
    done = max(Path(begun, "checkpoints").glob("epoch-*")) if begun else None
    if done:
        say(f"going on after {done.read_text()}")
        end = None
    for epoch in range(int(done.name[-4:]) + 1 if done else 1, arguments.epochs + 1):
        say(f"epoch {epoch}/{arguments.epochs}")
        with (folder / "events.jsonl").open("a") as file:
            file.write(json.dumps(epoch_event(epoch, arguments.epochs)) + "\n")
        if end:
            (folder / "checkpoints").mkdir(exist_ok=True)
            (folder / "checkpoints" / f"epoch-{epoch:04d}").write_text(f"epoch {epoch}")
    if end == "hang":
        time.sleep(600)
    while end == "late" and not (folder / "enough").exists():
        time.sleep(0.02)
    if end == "fail":
        say("error: numbers/one.txt: no such luck", file=sys.stderr)
        return 3
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "model.safetensors").write_bytes(bytes(range(256)) * 100)
    (folder / "artifacts" / "loss_curves.png").write_bytes(b"\x89PNG\r\n")
    result = result_of(arguments.config.stem, arguments.epochs)
    (folder / "result.json").write_text(json.dumps(result))
    return 0


def epoch_event(epoch: int, epochs: int) -> dict[str, object]:
    losses = {"total": 1 / epoch, "span": 1 / epoch}
    return {
        "schema": 1,
        "t": time.time(),
        "kind": "epoch",
        "epoch": epoch,
        "epochs": epochs,
        "seconds": 0.1,
        "learning_rate": 0.001,
        "train": losses,
        "validation": losses,
        "sigma": {"span": 1.0},
        "share": {"span": 1.0},
        "gradient_share": {"span": 1.0},
        "scores": {"f1": epoch / (epoch + 1), "in_span": 0.6, "out_span": 0.2},
    }


def result_of(recipe: str, epochs: int) -> dict[str, object]:
    scores = {
        "f1": {"value": 0.5, "low": 0.4, "high": 0.6},
        "center_mae": {"value": float("nan"), "low": float("nan"), "high": float("nan")},
    }
    return {
        "schema": 1,
        "recipe": recipe,
        "seed": 0,
        "device": "cpu",
        "epochs": epochs,
        "seconds": 0.3,
        "decoder": {"kind": "threshold", "threshold": 0.5},
        "scores": {"validation": scores, "test": None},
        "baselines": {},
        "sigma": {},
        "share": {},
        "num_parameters": 1,
        "data": {"files": []},
    }


if __name__ == "__main__":
    sys.exit(main())
