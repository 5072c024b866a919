"""The CRF's share of a training step, and pytorch-crf's loops against ours, on one thread.

    python benchmarks/crf.py

Both give the same numbers, which is checked before anything is measured.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from moola_core.config.sections import ModelConfig
from moola_core.model.crf import SpanCrf
from moola_core.model.jade import JadeCompact

NUM_BARS = 105


def main() -> None:
    """Check, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32, help="windows a step")
    parser.add_argument("--decode", type=int, default=1000, help="windows to decode")
    parser.add_argument("--repeats", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    # pytorch-crf's masks are of bytes.
    warnings.filterwarnings("ignore", message="where received a uint8")
    crf = SpanCrf()
    emissions = torch.randn(arguments.batch, NUM_BARS, 2)
    tags = (torch.rand(arguments.batch, NUM_BARS) < 0.07).long()
    many = torch.randn(arguments.decode, NUM_BARS, 2)
    mask = torch.ones(arguments.decode, NUM_BARS, dtype=torch.bool)
    torch.testing.assert_close(_theirs(crf, emissions, tags), _ours(crf, emissions, tags))
    assert torch.equal(crf.best_path(many), torch.tensor(crf.decode(many, mask)))

    def repeat(function: Callable[[], object]) -> float:
        return min(_timed(function) for _ in range(arguments.repeats))

    theirs = repeat(lambda: _backward(crf, _theirs, emissions, tags))
    ours = repeat(lambda: _backward(crf, _ours, emissions, tags))
    step = repeat(_step(arguments.batch))
    with torch.no_grad():
        their_path = _timed(lambda: crf.decode(many, mask))
        our_path = repeat(lambda: crf.best_path(many))
    print(f"{'ms':34} {'pytorch-crf':>12} {'ours':>8} {'ratio':>6}")
    _print_line(f"loss and gradient, {arguments.batch} windows", theirs, ours)
    _print_line(f"best paths, {arguments.decode} windows", their_path, our_path)
    print(f"\na step of encoder and heads without a CRF: {1e3 * step:.1f} ms")
    for name, seconds in (("pytorch-crf", theirs), ("ours", ours)):
        print(f"share of the CRF in a step: {name} {seconds / (seconds + step):.0%}")


def _step(num_windows: int) -> Callable[[], object]:
    config = ModelConfig(tasks=("pointer", "type", "span", "countdown"))
    model = JadeCompact(12, config)
    features = torch.randn(num_windows, NUM_BARS, 12)
    optimizer = torch.optim.AdamW(model.parameters())

    def step() -> None:
        outputs = model(features)
        optimizer.zero_grad(set_to_none=True)
        sum(output.sum() for output in outputs.values()).backward()
        optimizer.step()

    return step


def _theirs(crf: SpanCrf, emissions: Tensor, tags: Tensor) -> Tensor:
    likelihood: Tensor = crf(emissions, tags, reduction="none")
    return -likelihood / tags.shape[1]


def _ours(crf: SpanCrf, emissions: Tensor, tags: Tensor) -> Tensor:
    return crf.nll_per_bar(emissions, tags)


def _backward(
    crf: SpanCrf,
    loss: Callable[[SpanCrf, Tensor, Tensor], Tensor],
    emissions: Tensor,
    tags: Tensor,
) -> None:
    leaf = emissions.clone().requires_grad_()
    loss(crf, leaf, tags).mean().backward()


def _print_line(name: str, theirs: float, ours: float) -> None:
    print(f"{name:34} {1e3 * theirs:12.2f} {1e3 * ours:8.2f} {theirs / ours:6.1f}")


def _timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
