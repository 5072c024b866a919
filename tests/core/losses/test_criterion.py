from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from moola_core.config.sections import LossConfig, Recipe
from moola_core.data.windows import Windows
from moola_core.features.tensors import WindowTensors, make_tensors
from moola_core.inference.ensemble import columns_recipe
from moola_core.losses.criterion import LOSSES, Criterion
from moola_core.losses.functional import pointer_loss
from moola_core.model.jade import HEADS, SPAN_HEADS, JadeCompact
from moola_core.model.make import make_model
from tests.support.tensors import assert_close


@pytest.fixture
def batch(windows: Windows, small_recipe: Recipe) -> WindowTensors:
    return make_tensors(windows, small_recipe, torch.device("cpu"))


@pytest.fixture
def criterion(small_recipe: Recipe) -> Criterion:
    torch.manual_seed(0)
    model = JadeCompact(12, small_recipe.model)
    torch.nn.init.normal_(model.log_sigma)
    return Criterion(model, small_recipe.model.tasks, small_recipe.loss)


def test_each_head_has_a_loss_and_each_loss_a_head() -> None:
    assert {*HEADS, *SPAN_HEADS, "segment"} == set(LOSSES)


def test_the_total_is_that_of_kendall_gal_and_cipolla(
    criterion: Criterion, batch: WindowTensors
) -> None:
    outputs = criterion.model(batch.features)
    judged = criterion(outputs, batch)
    sigma = torch.exp(criterion.model.log_sigma)
    expected = (judged.raw / (2 * sigma**2) + torch.log(sigma)).sum()
    assert_close(judged.total, expected)
    each = pointer_loss(outputs["pointer"], batch.pointer)
    assert_close(judged.raw[0], (each * batch.weight).mean())


def test_windows_of_twice_the_weight_count_twice(
    criterion: Criterion, batch: WindowTensors
) -> None:
    rows = torch.tensor([0, 1, 1])
    twice = batch.take(rows)
    weighted = batch.take(torch.tensor([0, 1]))
    twice.weight.fill_(1.0)
    weighted.weight.copy_(torch.tensor([1.0, 2.0]))
    criterion.model.eval()
    raw = [criterion(criterion.model(b.features), b).raw * len(b) for b in (twice, weighted)]
    assert_close(raw[0], raw[1])


def test_shares_sum_to_one_and_follow_the_precisions(criterion: Criterion) -> None:
    precision, share = criterion.precision(), criterion.share()
    assert sum(share.values()) == pytest.approx(1)
    for task, value in precision.items():
        assert share[task] == pytest.approx(value / sum(precision.values()), rel=1e-5)
        assert value == pytest.approx(criterion.sigma()[task] ** -2, rel=1e-5)


@pytest.mark.train
def test_gradient_shares_are_those_of_the_tasks_own_gradients(
    criterion: Criterion, batch: WindowTensors
) -> None:
    outputs = criterion.model(batch.features)
    judged = criterion(outputs, batch)
    share = criterion.gradient_share(judged, outputs)
    assert all(p.grad is None for p in criterion.model.parameters())
    norms = [
        float(torch.autograd.grad(one, outputs["states"], retain_graph=True)[0].norm())
        for one in judged.weighted
    ]
    assert list(share.values()) == pytest.approx([n / sum(norms) for n in norms], rel=1e-5)
    judged.total.backward()  # the graph is still there


@pytest.mark.train
def test_an_untyped_window_pulls_at_its_span_alone(windows: Windows) -> None:
    table = {"kind": "unet", "width": 4, "max_length": 30, "tasks": ["segment", "type"]}
    recipe = Recipe.model_validate(
        {"name": "small", "model": table, "decoder": {"kind": "expected_iou", "max_length": 30}}
    )
    batch = make_tensors(windows, recipe, torch.device("cpu")).take(torch.arange(4))
    torch.manual_seed(0)
    model = make_model(batch.features.shape[2], recipe.model)
    slopes, losses = [], []
    for chosen in (torch.zeros(4), torch.ones(4)):
        model.zero_grad(set_to_none=False)
        criterion = Criterion(model, recipe.model.tasks, recipe.loss)
        judged = criterion(model(batch.features), batch.untyped(chosen > 0))
        judged.raw.sum().backward()
        losses.append(float(judged.raw[1].detach()))
        slopes.append(
            {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        )
    assert float(slopes[0]["type_head.weight"].abs().max()) > 0
    assert float(slopes[1]["type_head.weight"].abs().max()) == 0
    assert losses[1] == 0
    # of scores of bars, which no type comes from
    assert_close(slopes[0]["bar_scores.weight"], slopes[1]["bar_scores.weight"])


@pytest.mark.train
def test_where_no_span_is_columns_choose_nothing_and_say_no_type(windows: Windows) -> None:
    recipe = columns_recipe(Recipe(name="small"))
    recipe = recipe.model_copy(update={"loss": LossConfig(ridge=0.0)})
    first = windows.take(np.arange(4))
    is_none = np.array([False, True, False, True])
    some = replace(
        first,
        spans=np.where(is_none[:, None], 0, first.spans),
        types=np.where(is_none, -1, first.types),
    )
    batch = make_tensors(some, recipe, torch.device("cpu"))
    model = make_model(batch.features.shape[2], recipe.model)
    criterion = Criterion(model, recipe.model.tasks, recipe.loss)
    raw = criterion(model(batch.features, batch.candidates), batch).raw
    kept = batch.take(torch.from_numpy(np.flatnonzero(~is_none)))
    of_kept = criterion(model(kept.features, kept.candidates), kept).raw
    assert_close(raw * 4, of_kept * 2)  # means over windows
