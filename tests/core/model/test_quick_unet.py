"""The U-Net as it is trained against the one that it stands for."""

from __future__ import annotations

import copy

import pytest
import torch

from moola_core.model.quick_unet import quick_states
from moola_core.model.unet import UNet
from tests.support.tensors import assert_close


@pytest.mark.parametrize("num_bars", [16, 104, 105])
def test_states_slopes_and_what_norms_have_seen_are_the_networks(num_bars: int) -> None:
    torch.manual_seed(0)
    plain = UNet(10, 4).double()
    quick = copy.deepcopy(plain)
    x = torch.randn(5, 10, num_bars, dtype=torch.float64)
    weight = torch.randn(5, 4, num_bars, dtype=torch.float64)
    expected, found = plain(x), quick_states(quick, x)
    assert_close(found, expected)
    (expected * weight).sum().backward()
    (found * weight).sum().backward()
    for one, other in zip(quick.parameters(), plain.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-9)
    for name, buffer in plain.named_buffers():
        assert_close(quick.get_buffer(name), buffer)
    plain.eval()
    quick.eval()
    assert_close(quick_states(quick, x), plain(x))
