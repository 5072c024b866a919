from __future__ import annotations

import numpy as np
import pytest
import torch

from moola_core.data.windows import Windows
from moola_core.evaluation.plain_unet import plain_unet, views
from moola_core.spans.intervals import span_iou
from tests.support.tensors import assert_close


@pytest.mark.train
def test_it_finds_the_spans_that_it_was_taught(windows: Windows) -> None:
    shown = windows.take(windows.offset == 0)
    found = plain_unet(shown, shown.bars, epochs=100).spans
    # at random it is 0.05
    assert float(span_iou(found, shown.spans).mean()) > 0.3


@pytest.mark.train
def test_it_is_the_same_each_time_and_leaves_the_generator_alone(windows: Windows) -> None:
    few = windows.take(np.arange(20))
    before = torch.get_rng_state()
    first, second = (plain_unet(few, few.bars, epochs=1) for _ in range(2))
    assert (first.spans == second.spans).all()
    assert torch.equal(torch.get_rng_state(), before)


def test_its_views_are_free_of_the_unit_of_price(windows: Windows) -> None:
    bars = windows.bars[:3]
    assert_close(views(7.5 * bars), views(bars), atol=1e-4, rtol=1e-4)
