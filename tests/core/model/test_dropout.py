from __future__ import annotations

import pytest
import torch

from moola_core.model.dropout import Dropout
from tests.support.tensors import assert_close


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_share_is_dropped_and_the_rest_scaled_so_that_the_mean_stays(share: float) -> None:
    torch.manual_seed(0)
    values = torch.ones(400, 500, dtype=torch.float64, requires_grad=True)
    dropped = Dropout(share)(values)
    assert (dropped == 0).double().mean().item() == pytest.approx(share, abs=0.005)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / (1 - share)])
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)
    (gradient,) = torch.autograd.grad(dropped.sum(), values)
    assert_close(gradient, dropped.detach())


def test_masks_are_drawn_anew_and_follow_the_generator() -> None:
    values, dropout = torch.ones(50, 50), Dropout(0.5)
    torch.manual_seed(1)
    first, second = dropout(values), dropout(values)
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(dropout(values), first)


def test_nothing_is_dropped_in_evaluation() -> None:
    values = torch.randn(20, 20)
    assert torch.equal(Dropout(0.6).eval()(values), values)
    assert torch.equal(Dropout(0.0)(values), values)
