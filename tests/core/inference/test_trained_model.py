from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moola_core.config.sections import DecoderConfig, Recipe
from moola_core.data.windows import Windows
from moola_core.errors import DataError
from moola_core.inference.trained_model import TrainedModel, load_model, save_model
from moola_core.model.jade import JadeCompact

CPU = torch.device("cpu")


@pytest.fixture
def trained(small_recipe: Recipe) -> TrainedModel:
    torch.manual_seed(0)
    decoder = DecoderConfig(kind="best_span", bias=-1.25)
    return TrainedModel((JadeCompact(12, small_recipe.model),), small_recipe, decoder)


def test_a_model_comes_back_with_recipe_and_decoder(
    tmp_path: Path, trained: TrainedModel, windows: Windows
) -> None:
    save_model(tmp_path, trained)
    loaded = load_model(tmp_path, CPU)
    assert (loaded.recipe, loaded.decoder) == (trained.recipe, trained.decoder)
    before, after = trained.predict(windows.bars), loaded.predict(windows.bars)
    assert (before.span_logits == after.span_logits).all()


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_or_broken_model_is_refused_in_one_line(
    tmp_path: Path, trained: TrainedModel, name: str
) -> None:
    save_model(tmp_path, trained)
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(DataError, match="not a model that this version can use") as caught:
        load_model(tmp_path, CPU)
    assert "\n" not in str(caught.value)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match="no such file, expected a trained model"):
        load_model(tmp_path, CPU)
