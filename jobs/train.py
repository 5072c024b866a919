"""Train a model by a recipe, `span` unless another is named.

    python -m jobs.train --run-dir DIR --data DIR
    python -m jobs.train --config configs/train/seed.yaml --run-dir DIR --data DIR

Writes what docs/protocol.md lists under "A run's folder". Needs nothing of moola-remote.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.common.entry import exit_code_of, leave, quick_imports
from jobs.common.paths import make_folder
from jobs.common.processes import (
    check_shareable,
    is_one_of_several,
    own_log,
    processes_of,
    run_several,
)
from jobs.common.signals import STOPPED, StopRequest
from moola_core.config.recipe import dump_recipe, load_recipe
from moola_core.config.sections import Recipe
from moola_core.errors import ConfigError
from moola_core.io.event_log import EventLog, epochs_in
from moola_core.io.json_file import write_json

if TYPE_CHECKING:
    from jobs.common.fitting import Loaded

DEFAULT = Path(__file__).parents[1] / "configs" / "train" / "span.yaml"


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    stop = StopRequest()
    words = sys.argv[1:] if argv is None else argv
    arguments = _parser().parse_args(words)
    return exit_code_of(lambda: shared(words, arguments, stop))


def shared(words: list[str], arguments: argparse.Namespace, stop: StopRequest) -> int:
    """Train here, or in several processes that each come here again."""
    number = processes_of(arguments.processes)
    if number == 1 or is_one_of_several():
        return train(arguments, stop)
    recipe = _recipe(arguments)
    check_shareable(recipe, number)
    folder, threads = Path(arguments.run_dir), recipe.training.threads
    return run_several("jobs.train", words, number, threads=threads, run_dir=folder)


def train(arguments: argparse.Namespace, stop: StopRequest) -> int:
    """Load, train, judge, write."""
    began = time.monotonic()
    recipe = _recipe(arguments)
    own_log(Path(arguments.run_dir))
    # What is imported from here on takes seconds; a typing error was reported before.
    print(f"recipe {recipe.name}: reading code and data", flush=True)
    if recipe.pretrain is not None:
        from jobs.common.pretraining import pretrain

        return pretrain(recipe, arguments, stop)
    run_dir = Path(arguments.run_dir)

    with quick_imports():
        from jobs.common import reporting
        from jobs.common.members import Fitting, fit_members
        from moola_core.training.state import Stopped

    loaded = _load(recipe, arguments)
    source = run_dir if arguments.resume == "here" else arguments.resume
    fitting = Fitting(
        loaded=loaded,
        run_dir=run_dir,
        source=Path(source) if source else None,
        stop=stop,
        events=EventLog(run_dir / "events.jsonl"),
    )
    try:
        fit_members(fitting)
    except Stopped as stopped:
        if str(stopped):
            print(stopped)
        return STOPPED
    result = reporting.finish(loaded, run_dir, seconds=time.monotonic() - began)
    write_json(run_dir / "result.json", result)
    return 0


def _load(recipe: Recipe, arguments: argparse.Namespace) -> Loaded:
    """Read the data; only if that is well, the run's folder is begun."""
    from jobs.common.data import data_folder
    from jobs.common.fitting import load

    data_dir, run_dir = data_folder(arguments.data), Path(arguments.run_dir)
    loaded = load(recipe, data_dir, arguments.device, skip_bad=arguments.skip_bad)
    make_folder("--run-dir", run_dir / "artifacts")
    (run_dir / "config.yaml").write_text(dump_recipe(loaded.recipe), encoding="utf-8")
    return loaded


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe, after the cheap checks."""
    recipe = load_recipe(arguments.config, _overrides(arguments))
    if not arguments.run_dir:
        raise ConfigError("run folder: not given, expected --run-dir or MOOLA_RUN_DIR")
    run_dir = Path(arguments.run_dir)
    if epochs_in(run_dir / "events.jsonl") and not _resumes(arguments.resume, run_dir):
        raise ConfigError(
            f"--run-dir {run_dir}: holds a training, which would be replaced, expected a new"
            f" folder; name another, or go on with that training: --resume {run_dir}"
        )
    # numpy reads it when it is imported: sums in another order differ in the last bit.
    os.environ["OPENBLAS_NUM_THREADS"] = str(recipe.training.threads)
    return recipe


def _resumes(source: str | None, run_dir: Path) -> bool:
    """Return whether the training of `run_dir` itself is resumed, not another's."""
    if not source or source == "here":
        return bool(source)
    checkpoints = (run_dir / "checkpoints").resolve()
    path = Path(source).resolve()
    return path == run_dir.resolve() or path.is_relative_to(checkpoints)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jobs.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, default=DEFAULT, help="recipe, a YAML file; span")
    parser.add_argument(
        "--run-dir", default=os.environ.get("MOOLA_RUN_DIR"), help="default: $MOOLA_RUN_DIR"
    )
    parser.add_argument(
        "--data", default=os.environ.get("MOOLA_DATA_DIR"), help="default: $MOOLA_DATA_DIR"
    )
    parser.add_argument("--epochs", type=int, help="overrides the recipe's training.epochs")
    parser.add_argument("--seed", type=int, help="overrides the recipe's training.seed")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--use-crf", action="store_true", help="span head into a linear-chain CRF")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--processes",
        metavar="N",
        default=os.environ.get("MOOLA_GPUS"),
        help="share the training among so many, one a GPU; default: $MOOLA_GPUS, or 1",
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave faulty windows out")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="here",
        default=os.environ.get("MOOLA_RESUME_DIR"),
        metavar="PATH",
        help="resume from the latest complete checkpoint of the run's folder, or of PATH; "
        "$MOOLA_RESUME_DIR",
    )
    return parser


def _overrides(arguments: argparse.Namespace) -> list[str]:
    """Return each option as the override it stands for; `--set` comes last and wins."""
    overrides = []
    if arguments.epochs is not None:
        overrides.append(f"training.epochs={arguments.epochs}")
    if arguments.seed is not None:
        overrides.append(f"training.seed={arguments.seed}")
    if arguments.use_crf:
        overrides += ["model.crf=true", "decoder.kind=viterbi"]
    return [*overrides, *arguments.overrides]


if __name__ == "__main__":
    leave(main())
