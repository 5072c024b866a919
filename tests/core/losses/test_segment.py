from __future__ import annotations

import torch

from moola_core.losses.segment import segment_loss
from moola_core.spans.grid import MIN_LENGTH, all_spans
from tests.support.tensors import assert_close

NOISE = (0.4, 0.25, 0.05)
NUM_BARS, LONGEST = 14, 9


def mask_of(start: int, stop: int) -> torch.Tensor:
    bars = torch.arange(NUM_BARS)
    return ((bars >= start) & (bars < stop)).long()


def enumerated(scores: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """By hand: every span as the run, every pair of errors of its ends as the label."""
    likelihood = torch.zeros((), dtype=scores.dtype)
    total = torch.exp(scores).sum()
    for place, (first, last) in enumerate(all_spans(NUM_BARS, LONGEST).tolist()):
        off = abs(first - start), abs(last - stop)
        if max(off) < len(NOISE):
            likelihood = (
                likelihood + torch.exp(scores[place]) / total * NOISE[off[0]] * NOISE[off[1]]
            )
    return -torch.log(likelihood)


def test_loss_and_gradient_are_those_of_enumeration() -> None:
    torch.manual_seed(0)
    number = len(all_spans(NUM_BARS, LONGEST))
    labels = [(0, MIN_LENGTH), (3, 9), (5, 14), (12, 14), (2, 11)]
    scores = torch.randn(len(labels), number, dtype=torch.float64, requires_grad=True)
    tags = torch.stack([mask_of(*label) for label in labels])
    loss = segment_loss(scores, tags, LONGEST, NOISE)
    expected = torch.stack([enumerated(scores[i], *label) for i, label in enumerate(labels)])
    assert_close(loss, expected)
    (slope,) = torch.autograd.grad(loss.sum(), scores, retain_graph=True)
    (by_hand,) = torch.autograd.grad(expected.sum(), scores)
    assert_close(slope, by_hand)


def test_gradient_agrees_with_differences() -> None:
    torch.manual_seed(1)
    number = len(all_spans(8, 5))
    scores = torch.randn(2, number, dtype=torch.float64, requires_grad=True)
    tags = torch.tensor([[0, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]])
    assert torch.autograd.gradcheck(lambda s: segment_loss(s, tags, 5, NOISE), (scores,))


def test_no_span_is_one_more_outcome_of_the_softmax() -> None:
    torch.manual_seed(2)
    number = len(all_spans(NUM_BARS, LONGEST))
    labels = [(3, 9), (0, 0), (12, 14), (0, 0), (0, 2)]
    scores = torch.randn(len(labels), number, dtype=torch.float64, requires_grad=True)
    none = torch.randn(len(labels), dtype=torch.float64, requires_grad=True)
    tags = torch.stack([mask_of(*label) for label in labels])
    loss = segment_loss(scores, tags, LONGEST, NOISE, none)
    expected = []
    for i, (start, stop) in enumerate(labels):
        spans = torch.exp(scores[i]).sum()
        total = spans + torch.exp(none[i])
        if stop > start:
            expected.append(enumerated(scores[i], start, stop) + torch.log(total / spans))
        else:
            expected.append(torch.log(total) - none[i])
    assert_close(loss, torch.stack(expected))
    slopes = torch.autograd.grad(loss.sum(), (scores, none), retain_graph=True)
    by_hand = torch.autograd.grad(torch.stack(expected).sum(), (scores, none))
    for slope, wanted in zip(slopes, by_hand, strict=True):
        assert_close(slope, wanted)


def test_its_gradient_agrees_with_differences() -> None:
    torch.manual_seed(3)
    scores = torch.randn(2, len(all_spans(8, 5)), dtype=torch.float64, requires_grad=True)
    none = torch.randn(2, dtype=torch.float64, requires_grad=True)
    tags = torch.tensor([[0, 1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]])
    assert torch.autograd.gradcheck(lambda s, n: segment_loss(s, tags, 5, NOISE, n), (scores, none))
