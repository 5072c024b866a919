"""The folded network against the one that it was made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from moola_core.config.sections import ModelConfig
from moola_core.features.tensors import Inputs
from moola_core.inference.forward import folded, predict
from moola_core.model.folded import FoldedUNet
from moola_core.model.span_net import SpanNet
from moola_core.model.unet import UNet
from tests.support.tensors import assert_close


@pytest.fixture
def net() -> UNet:
    """A network whose norms have seen something."""
    torch.manual_seed(0)
    net = UNet(10, 4)
    for _ in range(3):
        net(torch.randn(8, 10, 64) * 3 + 1)
    for block in net.modules():
        if isinstance(block, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(block.weight)
            torch.nn.init.normal_(block.bias)
    return net.double().eval()


@pytest.mark.parametrize("num_bars", [16, 48, 104, 105, 300])
def test_it_answers_as_the_network_does(net: UNet, num_bars: int) -> None:
    x = torch.randn(3, 10, num_bars, dtype=torch.float64)
    with torch.no_grad():
        assert_close(FoldedUNet(net)(x), net(x), rtol=1e-10, atol=1e-10)


def test_it_is_made_anew_once_weights_changed() -> None:
    torch.manual_seed(0)
    config = ModelConfig(kind="unet", width=4, tasks=("segment", "type"), max_length=12)
    model = SpanNet(10, config).eval()
    shown = Inputs(torch.randn(4, 64, 10))
    first = predict(model, shown).span_posterior
    assert folded(model) is folded(model)
    before = folded(model)
    other = SpanNet(10, config).eval()
    model.load_state_dict(other.state_dict())
    assert folded(model) is not before
    second = predict(model, shown).span_posterior
    assert first is not None
    assert second is not None
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(second, predict(other, shown).span_posterior)
