from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moola_core.config.sections import ModelConfig
from moola_core.features.candidate_columns import CONTEXT_COLUMNS, SPAN_COLUMNS
from moola_core.features.candidates import Candidates
from moola_core.model.candidate_heads import ChoiceHead, ContextHead, Standardise, span_sums
from moola_core.model.jade import JadeCompact, count_parameters
from tests.support.tensors import assert_close

NUM_COLUMNS = len(SPAN_COLUMNS)
CONFIG = ModelConfig(hidden_size=8, tasks=("choice", "context_type"), num_types=2)


def _spans(num_windows: int, num_bars: int, number: int) -> Tensor:
    start = torch.randint(0, num_bars - 2, (num_windows, number))
    length = torch.randint(2, 26, (num_windows, number))
    return torch.stack([start, torch.minimum(start + length, torch.tensor(num_bars))], dim=2)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_span_sums_are_those_of_a_loop() -> None:
    bars, spans = torch.randn(3, 40, 3, dtype=torch.float64), _spans(3, 40, 20)
    sums = span_sums(bars, spans)
    for i in range(3):
        for k in range(20):
            a, b = spans[i, k].tolist()
            expected = bars[i, a:b, 0].sum() + bars[i, a, 1] + bars[i, b - 1, 2]
            assert_close(sums[i, k], expected)


def test_span_sums_have_the_gradient_of_differences() -> None:
    bars = torch.randn(2, 12, 3, dtype=torch.float64, requires_grad=True)
    spans = _spans(2, 12, 5)
    assert torch.autograd.gradcheck(lambda x: span_sums(x, spans), bars)


def test_a_score_is_what_columns_and_states_say_together() -> None:
    head = ChoiceHead(CONFIG).eval()
    torch.nn.init.normal_(head.linear.weight)
    head.log_gain.data.fill_(0.7)
    states, columns, spans = (
        torch.randn(2, 30, 16),
        torch.randn(2, 6, NUM_COLUMNS),
        _spans(2, 30, 6),
    )
    scores = head(states, columns, spans)
    assert head.bar_scores is not None
    assert head.mlp is not None
    bars = head.bar_scores(states)
    for i in range(2):
        for k in range(6):
            a, b = spans[i, k].tolist()
            seen = bars[i, a:b, 0].sum() + bars[i, a, 1] + bars[i, b - 1, 2]
            taught = head.linear(columns[i, k]) + head.mlp(columns[i, k])
            assert_close(scores[i, k], taught[0] + 2.71828182846**0.7 * seen)


@pytest.mark.train
def test_the_type_depends_on_what_went_before_and_nothing_else() -> None:
    head = ContextHead(CONFIG)
    torch.nn.init.normal_(head.linear.weight)
    columns = torch.randn(1, 1, NUM_COLUMNS, requires_grad=True)
    head(columns)[0, 0, 0].backward()
    assert columns.grad is not None
    seen = {SPAN_COLUMNS[i] for i in columns.grad[0, 0].nonzero()[:, 0].tolist()}
    assert seen == set(CONTEXT_COLUMNS)


def test_training_columns_are_standardised_and_far_ones_clipped() -> None:
    columns = 5 + 3 * torch.randn(20, 160, NUM_COLUMNS)
    standardise = Standardise()
    standardise.fit(columns)
    z = standardise(columns)
    assert_close(z.mean(dim=(0, 1)), torch.zeros(NUM_COLUMNS), atol=1e-3, rtol=0)
    assert_close(z.std(dim=(0, 1)), torch.ones(NUM_COLUMNS), atol=1e-2, rtol=0)
    assert standardise(columns + 1000).max() == 6


def test_a_column_that_never_changes_is_no_division_by_zero() -> None:
    standardise = Standardise()
    standardise.fit(torch.ones(4, 10, NUM_COLUMNS))
    assert torch.isfinite(standardise(torch.ones(1, 10, NUM_COLUMNS))).all()


def test_a_model_that_chooses_needs_candidates() -> None:
    model = JadeCompact(12, CONFIG).eval()
    with pytest.raises(ValueError, match="expected candidates"):
        model(torch.randn(2, 105, 12))
    candidates = Candidates(torch.randn(2, 7, NUM_COLUMNS), _spans(2, 105, 7))
    outputs = model(torch.randn(2, 105, 12), candidates)
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        "states": (2, 105, 16),
        "choice_logits": (2, 7),
        "context_logits": (2, 7, 2),
    }


def test_without_encoder_and_hidden_units_a_score_is_linear_in_the_columns() -> None:
    table = {"hidden_size": 0, "choice_hidden_size": 0, "tasks": ("choice", "context_type")}
    model = JadeCompact(12, ModelConfig.model_validate(table | {"num_types": 2}))
    assert count_parameters(model) == NUM_COLUMNS + (10 * 2 + 2) + 2
    choice = model.span_heads["choice_head"].get_submodule("linear")
    torch.nn.init.normal_(choice.get_parameter("weight"))
    candidates = Candidates(torch.randn(2, 7, NUM_COLUMNS), _spans(2, 105, 7))
    outputs = model(torch.randn(2, 105, 12), candidates)
    expected = candidates.features @ choice.get_parameter("weight")[0]
    assert_close(outputs["choice_logits"], expected)
    assert outputs["states"].shape == (2, 105, 0)


def test_each_trained_number_is_in_one_group_of_the_optimizer() -> None:
    from moola_core.config.sections import TrainingConfig
    from moola_core.training.optim import make_optimizer

    model = JadeCompact(12, CONFIG)
    groups = make_optimizer(model, TrainingConfig(choice_weight_decay=0.7)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.01, 0.7]
    assert groups[1]["scale"] == pytest.approx(10)
    sizes = [sum(p.numel() for p in group["params"]) for group in groups]
    assert sum(sizes) == count_parameters(model)
    assert sizes[1] == 69 + (69 * 16 + 16) + 16 + (10 * 2 + 2)
