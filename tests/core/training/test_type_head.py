from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from moola_core.config.recipe import load_recipe
from moola_core.config.sections import Recipe
from moola_core.data.windows import Windows
from moola_core.features.crops import centred
from moola_core.features.tensors import WindowTensors, make_tensors
from moola_core.features.views import VIEWS, price_views
from moola_core.model.make import make_model
from moola_core.model.span_net import SpanNet
from moola_core.training.type_head import fit_type_head, logistic_regression
from tests.support.tensors import assert_close

SPAN = Path(__file__).parents[3] / "configs" / "train" / "span.yaml"
SMALL = ["model.width=4", "model.max_length=25"]
CPU = torch.device("cpu")


def _oracle(seen: np.ndarray, types: np.ndarray, weight: np.ndarray, ridge: float) -> np.ndarray:
    """Return what scikit-learn says of `seen`, having learnt from the same."""
    # of two classes it has one vector of slopes, ours two that differ by it: half the squares
    strength = 1 / ridge if types.max() > 1 else 2 / ridge
    standard = StandardScaler().fit_transform(seen)
    fitted = LogisticRegression(C=strength, max_iter=10_000, tol=1e-10)
    probs: np.ndarray = fitted.fit(standard, types, weight).predict_proba(standard)
    return probs


@pytest.mark.parametrize("num_types", [2, 4])
@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_the_regression_is_that_of_scikit_learn(
    num_types: int, ridge: float, rng: np.random.Generator
) -> None:
    seen = rng.normal(2, 5, (80, 6))
    scores = seen @ rng.normal(0, 1, (6, num_types)) + rng.normal(0, 9, (80, num_types))
    types, weight = scores.argmax(axis=1), rng.uniform(0.5, 2, 80)
    said = torch.from_numpy(seen), torch.from_numpy(types), torch.from_numpy(weight)
    slopes, shift = logistic_regression(*said, num_types, ridge)
    got = torch.softmax(said[0] @ slopes.T + shift, dim=1).numpy()
    np.testing.assert_allclose(got, _oracle(seen, types, weight, ridge), atol=1e-4)


def test_a_column_that_never_changes_and_a_type_that_never_comes_do_no_harm() -> None:
    seen = torch.tensor([[0.0, 7.0], [1.0, 7.0], [2.0, 7.0], [3.0, 7.0]], dtype=torch.float64)
    types = torch.tensor([0, 0, 1, 1])
    slopes, shift = logistic_regression(seen, types, torch.ones(4), 3, 1.0)
    probs = torch.softmax(seen @ slopes.T + shift, dim=1)
    assert probs.argmax(dim=1).tolist() == [0, 0, 1, 1]
    assert (probs[:, 2] < 0.05).all()


def _model(recipe: Recipe) -> SpanNet:
    torch.manual_seed(0)
    model = make_model(len(VIEWS), recipe.model)
    assert isinstance(model, SpanNet)
    model(torch.randn(64, 105, len(VIEWS)))  # its norms have seen something
    return model


def _tensors(windows: Windows, recipe: Recipe) -> WindowTensors:
    tensors = make_tensors(windows, recipe, CPU)
    # the last ones have no span, and are the heaviest
    types, weight = tensors.types.clone(), torch.linspace(0.5, 1.5, len(windows))
    types[-3:] = -1
    return replace(tensors, types=types, weight=weight)


@torch.no_grad()
def _said(model: SpanNet, features: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return what the head is given, and the probabilities of types."""
    given: list[Tensor] = []
    hook = model.type_head.register_forward_hook(lambda *call: given.append(call[1][0]))
    logits = model.eval()(features)["type_logits"]
    hook.remove()
    return given[0].double().numpy(), torch.softmax(logits.double(), dim=1).numpy()


def test_the_head_says_what_a_regression_on_the_trained_network_says(windows: Windows) -> None:
    recipe = load_recipe(SPAN, SMALL)
    model, tensors = _model(recipe), _tensors(windows, recipe)
    fit_type_head(model, tensors, recipe)
    seen, probs = _said(model, tensors.features)
    types, weight = tensors.types.numpy()[:-3], tensors.weight.numpy()[:-3]
    expected = _oracle(seen[:-3], types, weight, 1.0)
    np.testing.assert_allclose(probs[:-3], expected, atol=1e-3)


def test_a_second_look_learns_types_from_crops_around_the_spans(windows: Windows) -> None:
    recipe = load_recipe(SPAN, [*SMALL, "ensemble.refine={crop: 32}"])
    model, tensors = _model(recipe), _tensors(windows, recipe)
    tensors = replace(tensors, bars=torch.tensor(windows.bars))
    fit_type_head(model, tensors, recipe)
    first = np.clip(windows.spans.sum(axis=1) // 2 - 16, 0, 105 - 32)
    crops = np.stack([bars[low : low + 32] for bars, low in zip(windows.bars, first, strict=True)])
    views = torch.from_numpy(price_views(crops))
    assert_close(centred(tensors, 32).features, views)
    seen, probs = _said(model, views)
    types, weight = tensors.types.numpy()[:-3], tensors.weight.numpy()[:-3]
    np.testing.assert_allclose(probs[:-3], _oracle(seen[:-3], types, weight, 1.0), atol=1e-3)


def test_of_several_spans_each_teaches_its_type(windows: Windows, rng: np.random.Generator) -> None:
    recipe = load_recipe(SPAN, [*SMALL, "model.several=true", "model.num_types=3"])
    model = _model(recipe)
    tensors = make_tensors(windows, recipe, CPU)
    starts = rng.integers(0, 40, len(windows))
    spans = np.stack([starts, starts + 9, starts + 50, starts + 57, 0 * starts, 0 * starts], axis=1)
    types = rng.integers(0, 3, (len(windows), 3))
    types[:, 2] = -1
    sets = torch.from_numpy(spans.reshape(-1, 3, 2))
    tensors = replace(tensors, sets=sets, set_types=torch.from_numpy(types))
    fit_type_head(model, tensors, recipe)
    with torch.no_grad():
        outputs = model.eval()(tensors.features)
    seen, probs = [], []
    for row, window in enumerate(spans):
        for low, high in (window[0:2], window[2:4]):
            states, bars = outputs["states"][row].double(), outputs["type_bars"][row].double()
            seen.append(torch.cat([states[low:high].mean(dim=0), states.mean(dim=0)]).numpy())
            probs.append(torch.softmax(bars[low:high].mean(dim=0), dim=0).numpy())
    weight = np.repeat(tensors.weight.numpy(), 2)
    expected = _oracle(np.stack(seen), types[:, :2].ravel(), weight, 1.0)
    np.testing.assert_allclose(np.stack(probs), expected, atol=1e-3)


def test_it_changes_nothing_else_draws_nothing_and_does_the_same_again(windows: Windows) -> None:
    recipe = load_recipe(SPAN, SMALL)
    model, tensors = _model(recipe), _tensors(windows, recipe)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    fit_type_head(model, tensors, load_recipe(SPAN, [*SMALL, "training.type_ridge=null"]))
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())
    fit_type_head(model, tensors, recipe)
    once = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fit_type_head(model, tensors, recipe)
    assert all(torch.equal(once[name], one) for name, one in model.state_dict().items())
    assert torch.equal(generator, torch.get_rng_state())
    changed = {name for name in before if not torch.equal(before[name], once[name])}
    assert changed == {"type_head.weight", "type_head.bias"}


def test_windows_without_any_type_leave_the_head_as_it_is(windows: Windows) -> None:
    recipe = load_recipe(SPAN, SMALL)
    model, tensors = _model(recipe), _tensors(windows, recipe)
    before = model.type_head.weight.clone()
    fit_type_head(model, replace(tensors, types=torch.full_like(tensors.types, -1)), recipe)
    assert torch.equal(model.type_head.weight, before)
