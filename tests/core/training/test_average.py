from __future__ import annotations

import torch

from moola_core.config.sections import ModelConfig
from moola_core.model.span_net import SpanNet
from moola_core.training.average import EARLY, RunningMean
from tests.support.tensors import assert_close


def test_the_mean_soon_forgets_the_first_weights_and_keeps_its_share_later() -> None:
    model = SpanNet(10, ModelConfig(kind="unet", width=4, tasks=("segment", "type")))
    mean = RunningMean(model, 0.9)
    weight, own = (one.get_parameter("type_head.bias") for one in (model, mean.model))
    expected = weight.detach().clone()
    for step, value in ((1, 1.0), (2, 3.0), (500, -2.0)):
        torch.nn.init.constant_(weight, value)
        mean.update(step)
        kept = min(0.9, (1 + step) / (EARLY + step))
        expected = kept * expected + (1 - kept) * value
        assert_close(own, expected)
    assert not any(one.requires_grad for one in mean.model.parameters())


def test_what_norms_have_seen_is_averaged_too() -> None:
    model = SpanNet(10, ModelConfig(kind="unet", width=4, tasks=("segment", "type")))
    mean = RunningMean(model, 0.5)
    seen = dict(model.named_buffers())["net.middle.1.running_mean"]
    seen.fill_(4.0)
    mean.update(1000)
    assert_close(mean.model.get_buffer("net.middle.1.running_mean"), torch.full_like(seen, 2.0))
