"""Losses against the textbook's formulas in float64, and their gradients against differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from moola_core.losses.functional import (
    choice_loss,
    context_type_loss,
    countdown_loss,
    edges_loss,
    pointer_loss,
    probability_span_loss,
    soft_span_loss,
    type_loss,
)
from tests.support.tensors import assert_close


def _random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def _soft_target() -> Tensor:
    return torch.sigmoid(_random(3, 5, seed=1))


@pytest.mark.parametrize("pos_weight", [1.0, 13.1])
@pytest.mark.parametrize("loss", [soft_span_loss, probability_span_loss])
def test_span_losses_equal_the_cross_entropy(loss: object, pos_weight: float) -> None:
    assert callable(loss)
    logits, target = _random(3, 5), _soft_target()
    if loss is probability_span_loss:
        target = target.round()  # with soft targets the seed's form weighs otherwise
    expected = []
    for row in range(3):
        nats = 0.0
        for t in range(5):
            p, y = 1 / (1 + math.exp(-float(logits[row, t]))), float(target[row, t])
            nats -= pos_weight * y * math.log(p) + (1 - y) * math.log(1 - p)
        expected.append(nats / 5)
    actual = loss(logits, target, pos_weight=pos_weight)
    assert_close(actual, torch.tensor(expected, dtype=torch.float64))


def test_the_span_loss_on_logits_does_not_saturate() -> None:
    logits = torch.tensor([[-200.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(soft_span_loss(logits, torch.ones(1, 1)).sum(), logits)
    assert gradient.item() == pytest.approx(-1)


@pytest.mark.parametrize("delta", [0.08, 1.0])
def test_huber_losses_are_quadratic_then_linear(delta: float) -> None:
    error = torch.tensor([[0.5 * delta, -3 * delta]], dtype=torch.float64)
    expected = (0.5 * (0.5 * delta) ** 2 + delta * (3 * delta - 0.5 * delta)) / 2
    zero = torch.zeros_like(error)
    assert pointer_loss(error, zero, delta=delta).item() == pytest.approx(expected)
    assert countdown_loss(error, zero, delta=delta).item() == pytest.approx(expected)


def test_the_type_loss_is_the_log_probability() -> None:
    logits, types = _random(4, 3), torch.tensor([0, 2, 1, 1])
    expected = -torch.log_softmax(logits, dim=1)[torch.arange(4), types]
    assert_close(type_loss(logits, types), expected)


def test_the_edges_loss_is_the_mean_of_two_cross_entropies() -> None:
    start, stop = _random(3, 7), _random(3, 7, seed=1)
    rows = torch.softmax(_random(2, 3, 7, seed=2), dim=2)
    expected = -(rows[0] * torch.log_softmax(start, dim=1)).sum(dim=1) / 2
    expected -= (rows[1] * torch.log_softmax(stop, dim=1)).sum(dim=1) / 2
    assert_close(edges_loss(start, stop, rows[0], rows[1]), expected)


def test_gradients_equal_differences() -> None:
    logits, target = _random(3, 5).requires_grad_(), _soft_target()
    rows = torch.softmax(_random(3, 5, seed=3), dim=1)
    types = torch.tensor([0, 4, 2])
    checks = [
        lambda x: soft_span_loss(x, target, pos_weight=13.1),
        lambda x: probability_span_loss(x, target),
        lambda x: type_loss(x, types),
        lambda x: pointer_loss(x, target),
        lambda x: countdown_loss(x, target),
        lambda x: edges_loss(x, 2 * x, rows, rows),
    ]
    for check in checks:
        assert torch.autograd.gradcheck(check, (logits,))


def test_shapes_that_differ_are_refused_with_both() -> None:
    with pytest.raises(
        ValueError, match=r"logits and target of one shape, got \(3, 5\) and \(3, 4\)"
    ):
        soft_span_loss(torch.zeros(3, 5), torch.zeros(3, 4))


def test_the_choice_loss_is_that_of_enumeration() -> None:
    logits = torch.randn(4, 9, dtype=torch.float64)
    likelihood = torch.rand(4, 9, dtype=torch.float64) * (torch.rand(4, 9) < 0.5)
    likelihood[:, 0] = 0.2
    for row, loss in enumerate(choice_loss(logits, likelihood, soft_share=0.3).tolist()):
        weights = [math.exp(x) for x in logits[row].tolist()]
        probs = [w / sum(weights) for w in weights]
        each = likelihood[row].tolist()
        hidden = -math.log(sum(p * q for p, q in zip(probs, each, strict=True)))
        soft = -sum(q / sum(each) * math.log(p) for p, q in zip(probs, each, strict=True))
        assert loss == pytest.approx(0.7 * hidden + 0.3 * soft)


def test_the_choice_loss_has_the_gradient_of_differences() -> None:
    logits = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    likelihood = torch.rand(3, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: choice_loss(x, likelihood), logits)


def test_the_context_loss_has_the_gradient_of_differences() -> None:
    logits = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    likelihood, types = torch.rand(2, 4, dtype=torch.float64), torch.tensor([2, 0])
    assert torch.autograd.gradcheck(lambda x: context_type_loss(x, likelihood, types), logits)


@pytest.mark.train
def test_a_label_that_no_candidate_explains_pulls_nowhere() -> None:
    # float64: what is left is rounding, in float32 as large as the bound for some draws
    logits = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    likelihood = torch.tensor([[0.0] * 5, [0.0, 0.3, 0.0, 0.0, 0.1]], dtype=torch.float64)
    loss = choice_loss(logits, likelihood)
    assert torch.isfinite(loss).all()
    loss.sum().backward()
    assert logits.grad is not None
    assert_close(logits.grad[0], torch.zeros(5).double(), atol=1e-6, rtol=0)
    assert logits.grad[1].abs().max() > 0.1


def test_the_context_loss_is_the_mean_over_the_label_s_candidates() -> None:
    logits = torch.randn(2, 4, 3, dtype=torch.float64)
    likelihood = torch.tensor([[0.0, 0.2, 0.0, 0.6], [0.5, 0.0, 0.0, 0.0]], dtype=torch.float64)
    types = torch.tensor([2, 0])
    logp = torch.log_softmax(logits, dim=2)
    expected = torch.stack([-(logp[0, 1, 2] + 3 * logp[0, 3, 2]) / 4, -logp[1, 0, 0]])
    assert_close(context_type_loss(logits, likelihood, types), expected)
