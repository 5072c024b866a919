from __future__ import annotations

import numpy as np
import pytest
import torch

from moola_core.config.sections import ModelConfig
from moola_core.features.bars import reflect
from moola_core.features.views import VIEWS, price_views
from moola_core.model.span_net import SpanNet
from moola_core.spans.grid import all_spans


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
        torch.testing.assert_close(found[:, place], expected)


def test_a_batch_scores_as_its_windows_alone(net: SpanNet) -> None:
    net.eval()
    features = torch.randn(5, 105, len(VIEWS))
    together = net(features)["segment_logits"]
    alone = torch.cat([net(one[None])["segment_logits"] for one in features])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


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
