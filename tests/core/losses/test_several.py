"""The likelihood of several labels a window against a list of all sets of spans."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from moola_core.losses.several import log_partition, several_loss, span_type_loss
from moola_core.spans.grid import all_spans
from tests.support.segmentations import every_set
from tests.support.tensors import assert_close

NOISE = (0.4, 0.25, 0.05)
NUM_BARS, LONGEST = 10, 6
LABELS = [[(0, 3), (3, 6)], [(1, 4)], [], [(0, 2), (4, 7), (7, 10)], [(2, 4), (5, 10)]]


def padded(labels: list[list[tuple[int, int]]]) -> torch.Tensor:
    most = max(map(len, labels))
    rows = [[*row, *[(0, 0)] * (most - len(row))] for row in labels]
    return torch.tensor(rows)


def enumerated(scores: torch.Tensor, labels: list[tuple[int, int]]) -> torch.Tensor:
    """By hand: every set as the runs, every pair of errors of each one's ends as its label."""
    spans = all_spans(NUM_BARS, LONGEST).tolist()
    total = said = torch.zeros((), dtype=scores.dtype)
    for one in every_set(NUM_BARS, LONGEST):
        mass = torch.exp(scores[list(one)].sum())
        total = total + mass
        if len(one) == len(labels):
            share = 1.0
            for place, (start, stop) in zip(one, labels, strict=True):
                off = abs(spans[place][0] - start), abs(spans[place][1] - stop)
                share *= NOISE[off[0]] * NOISE[off[1]] if max(off) < len(NOISE) else 0.0
            said = said + mass * share
    return torch.log(total) - torch.log(said)


def test_loss_and_gradient_are_those_of_enumeration() -> None:
    torch.manual_seed(0)
    number = len(all_spans(NUM_BARS, LONGEST))
    scores = torch.randn(len(LABELS), number, dtype=torch.float64, requires_grad=True)
    loss = several_loss(scores, padded(LABELS), NUM_BARS, LONGEST, NOISE)
    expected = torch.stack([enumerated(scores[i], one) for i, one in enumerate(LABELS)])
    assert_close(loss, expected)
    (slope,) = torch.autograd.grad(loss.sum(), scores, retain_graph=True)
    (by_hand,) = torch.autograd.grad(expected.sum(), scores)
    assert_close(slope, by_hand)


def test_gradients_agree_with_differences() -> None:
    torch.manual_seed(1)
    number = len(all_spans(8, 5))
    scores = torch.randn(2, number, dtype=torch.float64, requires_grad=True)
    labels = padded([[(0, 3), (4, 6)], [(5, 8)]])
    assert torch.autograd.gradcheck(lambda s: several_loss(s, labels, 8, 5, NOISE), (scores,))
    assert torch.autograd.gradcheck(lambda s: log_partition(s, 8), (scores,))


def test_a_label_that_no_run_can_make_costs_much_but_not_infinitely() -> None:
    scores = torch.zeros(1, len(all_spans(12, 4)), requires_grad=True)
    loss = several_loss(scores, torch.tensor([[[0, 12]]]), 12, 4, NOISE)
    (slope,) = torch.autograd.grad(loss.sum(), scores)
    assert 60 < loss.item() < 200
    assert bool(torch.isfinite(slope).all())


def test_types_are_those_of_each_span() -> None:
    torch.manual_seed(2)
    scores = torch.randn(3, NUM_BARS, 4, dtype=torch.float64, requires_grad=True)
    spans = padded([[(0, 3), (3, 6)], [], [(2, 9)]])
    types = torch.tensor([[1, 3], [-1, -1], [0, -1]])
    loss = span_type_loss(scores, spans, types)
    means = scores[0, :3].mean(dim=0), scores[0, 3:6].mean(dim=0)
    by_hand = F.cross_entropy(torch.stack(means), types[0])
    assert_close(loss[0], by_hand)
    assert loss[1].item() == 0.0
    assert_close(loss[2], F.cross_entropy(scores[2, 2:9].mean(dim=0), types[2, 0]))
    (slope,) = torch.autograd.grad(loss.sum(), scores)
    assert bool((slope[1] == 0).all())
    assert bool((slope[2, :2] == 0).all())
