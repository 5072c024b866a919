from __future__ import annotations

import pytest
import torch

from moola_core.config.sections import ModelConfig
from moola_core.model.jade import HEADS, JadeCompact, count_parameters
from tests.support.tensors import assert_close


def test_the_seeds_form_has_exactly_97547_parameters() -> None:
    assert count_parameters(JadeCompact(12, ModelConfig())) == 97_547


@pytest.mark.parametrize("crf", [False, True])
def test_outputs_have_the_documented_names_and_shapes(crf: bool) -> None:
    config = ModelConfig(hidden_size=8, tasks=tuple(HEADS), crf=crf)  # type: ignore[arg-type]
    outputs = JadeCompact(13, config)(torch.randn(4, 105, 13))
    span = {"emissions": (4, 105, 2)} if crf else {"span_logits": (4, 105)}
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "states": (4, 105, 16),
        "pointer": (4, 2),
        "type_logits": (4, 3),
        "countdown": (4, 105),
        "start_logits": (4, 105),
        "stop_logits": (4, 105),
        **span,
    }
    assert ((outputs["pointer"] > 0) & (outputs["pointer"] < 1)).all()


def test_a_task_that_is_left_out_has_no_output_and_no_sigma() -> None:
    model = JadeCompact(12, ModelConfig(tasks=("span",)))
    assert set(model(torch.randn(2, 105, 12))) == {"states", "span_logits"}
    assert model.log_sigma.shape == (1,)


@pytest.mark.parametrize("num_bars", [1, 105])
def test_a_batch_gives_what_each_window_gives_alone(num_bars: int) -> None:
    torch.manual_seed(0)
    model = JadeCompact(12, ModelConfig()).eval()
    features = torch.randn(5, num_bars, 12)
    together = model(features)
    for row in range(5):
        alone = model(features[row : row + 1])
        for name, value in alone.items():
            assert_close(value[0], together[name][row], rtol=1e-4, atol=1e-5)


def test_a_crfs_span_logits_are_the_log_odds_of_its_marginals() -> None:
    model = JadeCompact(12, ModelConfig(crf=True)).eval()
    outputs = model(torch.randn(2, 105, 12))
    assert model.crf is not None
    inside = model.crf.marginals(outputs["emissions"])[..., 1]
    assert_close(torch.sigmoid(model.span_logits(outputs)), inside)
