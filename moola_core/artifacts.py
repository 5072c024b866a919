"""A trained model on disk: ``model.safetensors`` and ``model.json``, all that its use needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from moola_core.config import DecoderConfig, Recipe
from moola_core.dataset import make_features
from moola_core.decoding import Predictions
from moola_core.errors import DataError
from moola_core.events import write_json
from moola_core.features import COLUMNS, POSITION
from moola_core.model import JadeCompact, count_parameters
from moola_core.spans import FloatArray
from moola_core.training import predict
from moola_core.windows import LABELS


@dataclass(frozen=True)
class TrainedModel:
    """A model with the recipe that made it and the decoder that was chosen for it."""

    model: JadeCompact
    recipe: Recipe
    decoder: DecoderConfig

    def predict(self, bars: FloatArray) -> Predictions:
        """What the model says of windows of bars ``(B, T, 4)``."""
        device = next(self.model.parameters()).device
        return predict(self.model, make_features(bars, self.recipe, device))


def save_model(folder: Path, trained: TrainedModel) -> None:
    """Write both files below `folder`."""
    state = trained.model.state_dict()
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes it 0600
    write_json(
        folder / "model.json",
        {
            "recipe": trained.recipe.model_dump(mode="json"),
            "decoder": trained.decoder.model_dump(mode="json"),
            "features": [*COLUMNS, *([POSITION] if trained.recipe.data.position else [])],
            "types": list(LABELS),
            "num_parameters": count_parameters(trained.model),
        },
    )


def load_model(folder: Path, device: torch.device) -> TrainedModel:
    """The model in `folder`, ready to predict.

    Raises:
        DataError: a file is missing, broken, or of another version's model.
    """
    try:
        table = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        recipe = Recipe.model_validate(table["recipe"])
        decoder = DecoderConfig.model_validate(table["decoder"])
        model = JadeCompact(len(table["features"]), recipe.model)
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except FileNotFoundError as err:
        raise DataError(
            f"{err.filename}: no such file, expected a trained model in {folder}"
        ) from err
    except (ValueError, KeyError, ValidationError, SafetensorError, RuntimeError) as err:
        reason = " ".join(str(err).split())[:200]
        raise DataError(f"{folder}: not a model that this version can use, {reason}") from err
    return TrainedModel(model.to(device).eval(), recipe, decoder)
