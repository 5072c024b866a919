from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from moola_core.config.sections import ModelConfig
from moola_core.features.bars import reflect
from moola_core.features.tensors import Inputs
from moola_core.features.views import VIEWS, price_views
from moola_core.inference.forward import forward_outputs
from moola_core.losses.segment import bar_loss, segment_loss
from moola_core.model.quick_unet import quick_states
from moola_core.model.span_net import SpanNet
from moola_core.model.span_scores import score_spans
from moola_core.spans.grid import all_spans
from tests.support.tensors import assert_close


@pytest.fixture
def net() -> SpanNet:
    torch.manual_seed(0)
    config = ModelConfig(kind="unet", width=4, tasks=("segment", "type"), max_length=40)
    return SpanNet(len(VIEWS), config)


def test_the_score_of_a_span_is_its_bars_and_its_ends(net: SpanNet) -> None:
    scores = torch.randn(2, 3, 105, dtype=torch.float64)
    found = net.span_scores(scores)
    for place, (start, stop) in enumerate(all_spans(105, 40).tolist()):
        inside = scores[:, 0, start:stop].sum(dim=1)
        expected = inside + scores[:, 1, start] + scores[:, 2, stop - 1]
        assert_close(found[:, place], expected)


def test_a_batch_scores_as_its_windows_alone(net: SpanNet) -> None:
    net.eval()
    features = torch.randn(5, 105, len(VIEWS))
    together = net(features)["segment_logits"]
    alone = torch.cat([net(one[None])["segment_logits"] for one in features])
    assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_the_length_prior_is_highest_near_the_labels_lengths(net: SpanNet) -> None:
    net.fit_lengths(torch.tensor([8, 9, 10, 11, 12]))
    assert 8 <= int(net.length_prior[2:].argmax()) + 2 <= 12
    # a length that was never seen stays possible
    assert float(net.length_prior[40]) > -10


def test_views_are_free_of_the_unit_of_price(rng: np.random.Generator) -> None:
    walk = np.cumsum(rng.normal(size=(3, 105, 4)), axis=1) + 100
    bars = np.sort(walk, axis=2)[..., [1, 3, 0, 2]]
    np.testing.assert_allclose(price_views(7.5 * bars), price_views(bars), atol=1e-4)


def test_views_of_the_mirrored_market_are_the_mirrored_views(rng: np.random.Generator) -> None:
    walk = np.cumsum(rng.normal(size=(3, 105, 4)), axis=1) + 100
    bars = np.sort(walk, axis=2)[..., [1, 3, 0, 2]]
    views, mirrored = price_views(bars), price_views(reflect(bars))
    order = [VIEWS.index(name) for name in ("open_z", "low_z", "high_z", "close_z")]
    np.testing.assert_allclose(mirrored[..., :4], -views[..., order], atol=1e-5)
    for name in ("step_z", "step_atr", "close_mad", "step_mad"):
        place = VIEWS.index(name)
        np.testing.assert_allclose(mirrored[..., place], -views[..., place], atol=1e-4)
    for name in ("range_z", "log_range_atr"):
        place = VIEWS.index(name)
        np.testing.assert_allclose(mirrored[..., place], views[..., place], atol=1e-4)


def test_a_flat_window_has_finite_views() -> None:
    assert np.isfinite(price_views(np.full((1, 105, 4), 50.0))).all()


def test_an_answer_is_the_same_in_any_unit_of_price(net: SpanNet, rng: np.random.Generator) -> None:
    net.eval()
    walk = np.cumsum(rng.normal(size=(3, 105, 4)), axis=1) + 100
    bars = np.sort(walk, axis=2)[..., [1, 3, 0, 2]]
    said = [
        net(torch.from_numpy(price_views(unit * bars)))["segment_logits"]
        for unit in (1.0, 1e-4, 3e5)
    ]
    assert_close(said[1], said[0], rtol=1e-3, atol=1e-3)
    assert_close(said[2], said[0], rtol=1e-3, atol=1e-3)


def test_a_symmetric_answer_is_that_of_the_mirrored_market(rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    config = ModelConfig(kind="unet", width=4, tasks=("segment", "type"), symmetric=True)
    net = SpanNet(len(VIEWS), config).eval()
    walk = np.cumsum(rng.normal(size=(3, 105, 4)), axis=1) + 100
    bars = np.sort(walk, axis=2)[..., [1, 3, 0, 2]]
    shown, mirrored = (torch.from_numpy(price_views(one)) for one in (bars, reflect(bars)))
    said = forward_outputs(net, Inputs(shown, mirrored))
    reflected = forward_outputs(net, Inputs(mirrored, shown))
    assert_close(said["segment_logits"], reflected["segment_logits"])
    assert_close(said["type_logits"], reflected["type_logits"])


def test_no_gradient_comes_from_bars_that_are_no_bars(net: SpanNet) -> None:
    tags = torch.zeros(2, 105, dtype=torch.long)
    tags[0, 95:], tags[1, 3:9] = 1, 1
    features = torch.randn(2, 105, len(VIEWS))
    padded = F.pad(features.transpose(1, 2), (0, 7), mode="replicate")
    states = quick_states(net.net, padded)
    states.retain_grad()
    outputs = net.outputs_of(states[..., :105])
    assert_close(outputs["segment_logits"], net(features)["segment_logits"])
    loss = segment_loss(outputs["segment_logits"], tags, 40, net.end_noise)
    (loss + bar_loss(outputs["span_logits"], tags)).sum().backward()
    assert states.grad is not None
    assert states.grad.shape[2] == 112
    assert bool((states.grad[..., 105:] == 0).all())
    assert bool((states.grad[..., :105] != 0).any())


def test_the_softmax_over_spans_and_its_gradient_are_those_of_enumeration(net: SpanNet) -> None:
    net = net.double()
    scores = torch.randn(1, 3, 105, dtype=torch.float64, requires_grad=True)
    prior = torch.randn(41, dtype=torch.float64)
    found = net.span_scores(scores) + prior[net.grid(scores)[2]]
    by_hand = torch.stack(
        [
            scores[0, 0, a:b].sum() + scores[0, 1, a] + scores[0, 2, b - 1] + prior[b - a]
            for a, b in all_spans(105, 40).tolist()
        ]
    )
    log_mass, expected = torch.logsumexp(found, dim=1)[0], torch.log(torch.exp(by_hand).sum())
    assert_close(log_mass, expected)
    (slope,) = torch.autograd.grad(log_mass, scores)
    (wanted,) = torch.autograd.grad(expected, scores)
    assert_close(slope, wanted)


@pytest.mark.parametrize(("num_bars", "longest"), [(16, 25), (16, 16), (30, 7), (9, 2)])
def test_slopes_of_spans_scores_are_those_of_scattering(num_bars: int, longest: int) -> None:
    shape = [(3, num_bars), (3, num_bars), (longest + 1,)]
    given = [torch.randn(one, dtype=torch.float64, requires_grad=True) for one in shape]
    start, stop, length = given
    spans = torch.from_numpy(all_spans(num_bars, longest).copy())
    bars = spans[:, 1] - spans[:, 0]
    expected = start[:, spans[:, 0]] + stop[:, spans[:, 1] - 1] + length[bars]
    found = score_spans(start, stop, length)
    assert_close(found, expected)
    weight = torch.randn_like(expected)
    slopes = torch.autograd.grad((found * weight).sum(), given)
    wanted = torch.autograd.grad((expected * weight).sum(), given)
    for slope, by_hand in zip(slopes, wanted, strict=True):
        assert_close(slope, by_hand)
