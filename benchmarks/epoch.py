"""Where the time of a training run goes: start-up, data, and the parts of an epoch.

    python benchmarks/epoch.py --recipe configs/train/seed.yaml --data ../shared/data

Aim: the seed's 20 epochs in under 10 s of training on 2 CPU cores, under 1 s on a GPU. The built-in
market stands in where there is no --data: the sizes are the same. Parts are in CPU time, on a GPU
in wall time.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from jobs.common.fitting import begin_run, load
from moola_core.config.recipe import load_recipe
from moola_core.features.bars import window_features
from moola_core.spans.intervals import FloatArray
from moola_core.training import loop, state

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "configs" / "train" / "seed.yaml")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or _synthesize(Path(folder) / "data")
        _measure(arguments, data)


def _measure(arguments: argparse.Namespace, data: Path) -> None:
    more = [f"training.epochs={arguments.epochs}", f"training.threads={arguments.threads}"]
    recipe = load_recipe(arguments.recipe, [*arguments.overrides, *more])
    print(f"{'start-up':34} {'CPU s':>8}")
    for name in ("pass", "import torch", "import jobs.common.reporting"):
        print(f"{name:34} {_python(name):8.2f}")
    began = time.perf_counter()
    loaded = load(recipe, data, arguments.device, skip_bad=False)
    print(f"{'read, check, split, features':34} {time.perf_counter() - began:8.2f}")
    run = begin_run(loaded, recipe)
    began, cpu_began = time.perf_counter(), time.process_time()
    loop.fit(run)
    total, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    epochs = f"{arguments.epochs} epochs of {len(run.train)} windows, {arguments.threads} threads"
    print(f"\n{epochs}: {total:.2f} s ({cpu:.2f} s of CPU)")
    _print_parts(run, arguments.epochs)
    _print_data(run, loaded.train.bars)


def _print_parts(run: state.Run, num_epochs: int) -> None:
    """Print the time of each part of the same steps."""
    spent: dict[str, float] = defaultdict(float)
    clock = _clock(run.device, spent)
    _time_encoder(run, spent)
    run.model.train()
    began = _now(run.device)
    for _ in range(num_epochs):
        for rows in (
            torch.randperm(len(run.train)).to(run.device).split(run.recipe.training.batch_size)
        ):
            _step(run, rows, clock)
        with clock("gradient share"):
            batch = run.train.take(rows)
            outputs = run.model(batch.features, batch.candidates)
            run.criterion.gradient_share(run.criterion(outputs, batch), outputs)
        encoder = spent["encoder forward"]
        if run.validation is not None:
            with clock("evaluation"):
                loop.evaluate(run, run.validation)
        spent["encoder forward"] = encoder  # that of evaluation is in evaluation
        run.model.train()
    total = _now(run.device) - began
    spent["heads forward"] -= spent["encoder forward"]
    spent["the rest"] = total - sum(spent.values())
    print(f"\n{'part':34} {'ms/epoch':>8} {'share':>6}")
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"{name:34} {1e3 * seconds / num_epochs:8.1f} {seconds / total:6.1%}")


def _step(run: state.Run, rows: torch.Tensor, clock: Any) -> None:
    with clock("take and mirror a batch"):
        batch = run.train.take(rows).mirror(torch.rand(len(rows), device=run.device) < 0.5)
    with clock("heads forward"):
        outputs = run.model(batch.features, batch.candidates)
    with clock("criterion"):
        judged = run.criterion(outputs, batch)
    with clock("backward"):
        run.optimizer.zero_grad(set_to_none=True)
        judged.total.backward()
    with clock("optimizer"):
        run.optimizer.step()


def _time_encoder(run: state.Run, spent: dict[str, float]) -> None:
    begun: list[float] = []

    def before(*_: Any) -> None:
        begun.append(_now(run.device))

    def after(*_: Any) -> None:
        spent["encoder forward"] += _now(run.device) - begun.pop()

    encoder = run.model.encoder
    assert isinstance(encoder, torch.nn.Module)
    encoder.register_forward_pre_hook(before)
    encoder.register_forward_hook(after)


def _print_data(run: state.Run, bars: FloatArray) -> None:
    """One epoch's batches: slices of tensors, and a DataLoader that makes features a sample."""
    size = run.recipe.training.batch_size
    began = _now(run.device)
    for rows in torch.randperm(len(run.train)).to(run.device).split(size):
        run.train.take(rows)
    ours = _now(run.device) - began
    loader = DataLoader(_Samples(bars), batch_size=size, shuffle=True)
    began = _now(run.device)
    for batch in loader:
        batch.to(run.device)
    theirs = _now(run.device) - began
    print(
        f"\nbatches of one epoch: {1e3 * ours:.1f} ms; a DataLoader that makes features a sample"
        f" {1e3 * theirs:.1f} ms, {theirs / ours:.1f} times"
    )


class _Samples(Dataset[torch.Tensor]):
    def __init__(self, bars: FloatArray) -> None:
        self.bars = bars

    def __len__(self) -> int:
        return len(self.bars)

    def __getitem__(self, row: int) -> torch.Tensor:
        return torch.from_numpy(window_features(self.bars[row : row + 1])[0])


def _clock(device: torch.device, spent: dict[str, float]) -> Any:
    @contextmanager
    def clock(name: str) -> Iterator[None]:
        began = _now(device)
        yield
        spent[name] += _now(device) - began

    return clock


def _now(device: torch.device) -> float:
    """Seconds: CPU time of all threads, since others may use the cores; with a GPU, wall time."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _python(statement: str) -> float:
    """Seconds of CPU that a new interpreter takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _synthesize(folder: Path) -> Path:
    command = [sys.executable, "-m", "jobs.synthesize", "--out", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return folder


if __name__ == "__main__":
    main()
