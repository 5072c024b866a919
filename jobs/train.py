"""Train JadeCompact by a recipe.

    python -m jobs.train --config configs/train/seed.yaml --run-dir DIR --data DIR

Writes what docs/protocol.md lists under "A run's folder". Needs nothing of moola-remote.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from moola_core.config import dump_recipe, load_recipe
from moola_core.errors import CheckpointError, ConfigError, JobError
from moola_core.events import EventLog, write_json

if TYPE_CHECKING:
    from moola_core.training import Run

STOPPED = 143


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    stop = StopRequest()
    arguments = _parser().parse_args(argv)
    try:
        return train(arguments, stop)
    except JobError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code


class StopRequest:
    """SIGTERM: before and after training it ends the job, within it the loop asks."""

    def __init__(self) -> None:
        self.is_training = False
        self.is_requested = False
        signal.signal(signal.SIGTERM, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.is_requested = True
        if not self.is_training:
            raise SystemExit(STOPPED)


def train(arguments: argparse.Namespace, stop: StopRequest) -> int:
    """Load, train, judge, write."""
    began = time.monotonic()
    recipe = load_recipe(arguments.config, _overrides(arguments))
    if not arguments.run_dir:
        raise ConfigError("run folder: not given, expected --run-dir or MOOLA_RUN_DIR")
    run_dir = Path(arguments.run_dir)

    # Heavy imports after the cheap checks, so that a typing error is told at once.
    from jobs import reporting
    from jobs.loading import data_folder, load_run
    from moola_core.checkpoint import load_latest
    from moola_core.training import Stopped, fit, restore

    loaded = load_run(
        recipe, data_folder(arguments.data), arguments.device, skip_bad=arguments.skip_bad
    )
    (run_dir / "artifacts").mkdir(parents=True, exist_ok=True)
    (run_dir / "config.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    events = EventLog(run_dir / "events.jsonl")
    run = loaded.run
    run.checkpoints = run_dir / "checkpoints"
    run.is_stopping = lambda: stop.is_requested
    run.report = lambda kind, keys: _report(events, kind, keys)
    if arguments.resume:
        source = run_dir if arguments.resume == "here" else Path(arguments.resume)
        checkpoint, torn = load_latest(source)
        _require_same_run(run, checkpoint.state["identity"], source)
        for line in torn:
            print(f"note: {line}; using the one before")
            events.write("note", text=line)
        restore(run, checkpoint)
        print(f"resuming after epoch {run.progress.epoch}, batch {run.progress.batch}")
    events.write("run", **reporting.run_event(loaded))
    reporting.print_header(loaded)
    stop.is_training = True
    try:
        if not stop.is_requested:
            fit(run)
    except Stopped:
        at = f"epoch {run.progress.epoch}, batch {run.progress.batch}"
        print(f"stopped after {at}; checkpoint written")
        return STOPPED
    stop.is_training = False
    if stop.is_requested:
        return STOPPED
    result = reporting.finish(loaded, run_dir, seconds=time.monotonic() - began)
    write_json(run_dir / "result.json", result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jobs.train", description="train JadeCompact by a recipe")
    parser.add_argument("--config", type=Path, required=True, help="recipe, a YAML file")
    parser.add_argument("--run-dir", default=os.environ.get("MOOLA_RUN_DIR"), help="$MOOLA_RUN_DIR")
    parser.add_argument("--data", default=os.environ.get("MOOLA_DATA_DIR"), help="$MOOLA_DATA_DIR")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's training.epochs")
    parser.add_argument("--seed", type=int, help="instead of the recipe's training.seed")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--use-crf", action="store_true", help="span head into a linear-chain CRF")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--skip-bad", action="store_true", help="leave faulty windows out")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="here",
        metavar="PATH",
        help="go on from the newest whole checkpoint of the run's folder, or of PATH",
    )
    return parser


def _overrides(arguments: argparse.Namespace) -> list[str]:
    """Each option as the override it stands for; `--set` comes last and wins."""
    overrides = []
    if arguments.epochs is not None:
        overrides.append(f"training.epochs={arguments.epochs}")
    if arguments.seed is not None:
        overrides.append(f"training.seed={arguments.seed}")
    if arguments.use_crf:
        overrides += ["model.crf=true", "decoder.kind=viterbi"]
    return [*overrides, *arguments.overrides]


def _report(events: EventLog, kind: str, keys: dict[str, Any]) -> None:
    from jobs.reporting import epoch_line

    events.write(kind, **keys)
    if kind == "epoch":
        print(epoch_line(keys), flush=True)


def _require_same_run(run: Run, identity: dict[str, Any], source: Path) -> None:
    """More epochs may be added; anything else would not be the run that was begun."""
    for key, value in run.identity.items():
        if identity.get(key) != value:
            raise CheckpointError(
                f"{source}: a checkpoint of another run, its {key} differs; start anew"
            )


if __name__ == "__main__":
    sys.exit(main())
