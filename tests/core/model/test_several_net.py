"""The network for several spans a window: scores of spans as ever, types of each bar."""

from __future__ import annotations

import torch

from moola_core.config.sections import ModelConfig
from moola_core.model.make import make_model
from moola_core.model.several_net import SeveralNet
from moola_core.model.span_net import SpanNet
from tests.support.tensors import assert_close

CONFIG = ModelConfig(
    kind="unet", width=4, tasks=("segment", "type"), num_types=3, max_length=12, several=True
)


def test_the_setting_makes_it_and_no_head_for_none_is_needed() -> None:
    model = make_model(6, CONFIG.model_copy(update={"no_span": True}))
    assert isinstance(model, SeveralNet)
    assert model.none_head is None
    other = make_model(6, CONFIG.model_copy(update={"several": None}))
    assert type(other) is SpanNet


def test_scores_are_those_of_the_network_for_one_span() -> None:
    torch.manual_seed(0)
    model = SeveralNet(6, CONFIG)
    one = SpanNet(6, CONFIG)
    one.load_state_dict(model.state_dict())
    features = torch.randn(3, 40, 6)
    several, single = model(features), one(features)
    assert "type_logits" not in several
    assert_close(several["segment_logits"], single["segment_logits"])
    assert_close(several["span_logits"], single["span_logits"])


def test_a_span_s_types_are_linear_in_its_mean_state_and_the_window_s() -> None:
    torch.manual_seed(1)
    model = SeveralNet(6, CONFIG).eval()
    outputs = model(torch.randn(2, 40, 6))
    states, bars = outputs["states"], outputs["type_bars"]
    pooled = torch.cat([states[0, 5:13].mean(dim=0), states[0].mean(dim=0)])
    assert_close(bars[0, 5:13].mean(dim=0), model.type_head(pooled))
