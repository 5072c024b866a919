"""A pre-trained encoder on disk."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from moola_core.errors import DataError
from moola_core.features.bars import COLUMNS, POSITION
from moola_core.io.json_file import Written, read_json, write_json
from moola_core.model.jade import count_parameters
from moola_core.pretraining.state import Pretraining

WEIGHTS, ABOUT = "encoder.safetensors", "encoder.json"


class About(Written):
    """``encoder.json``: what the encoder's weights were made for."""

    features: list[str] = Field(max_length=1000)


def save_encoder(folder: Path, run: Pretraining) -> None:
    """Write ``encoder.safetensors`` and ``encoder.json`` below `folder`."""
    state = run.model.encoder.state_dict()
    save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors makes it 0600
    about = {
        "recipe": run.recipe.model_dump(mode="json"),
        "features": [*COLUMNS, *([POSITION] if run.recipe.data.position else [])],
        "num_parameters": count_parameters(run.model.encoder),
    }
    write_json(folder / ABOUT, about)


def find_encoder(folder: Path) -> Path:
    """Return the weights that pre-training left in `folder`, a run's or its artifacts.

    Raises:
        DataError: there are none.
    """
    for path in (folder / "artifacts" / WEIGHTS, folder / WEIGHTS):
        if path.is_file():
            return path
    raise DataError(
        f"model.encoder {folder}: no {WEIGHTS} there, expected a run of the recipe pretrain"
    )


def load_encoder(encoder: nn.LSTM, folder: Path) -> None:
    """Give `encoder` the weights that pre-training left in `folder`.

    Raises:
        DataError: there are none, or they are of other features or sizes.
    """
    path = find_encoder(folder)
    try:
        features = read_json(path.with_name(ABOUT), About).features
        weights = load_file(path)
    except (OSError, ValueError, SafetensorError) as err:
        raise DataError(f"{path}: not readable, {' '.join(str(err).split())[:200]}") from err
    if len(features) != encoder.input_size:
        raise DataError(
            f"{path}: made for {len(features)} features, expected {encoder.input_size};"
            " set data.position alike in both recipes"
        )
    ours = encoder.state_dict()
    if {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in ours.items()}:
        raise DataError(
            f"{path}: an encoder of other sizes; set model.hidden_size and model.num_layers as in"
            " its recipe"
        )
    encoder.load_state_dict(weights)
