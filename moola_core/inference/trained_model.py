"""A trained model on disk: ``model.json`` and its weights, all that its use needs.

The weights are in ``model.safetensors``, of an ensemble in one ``model-<number>.safetensors`` each,
numbered from ``training.seed`` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from moola_core.config.sections import DecoderConfig, Recipe, UnitConfig
from moola_core.data.window_checks import LABELS
from moola_core.data.windows import NANOSECONDS_A_BAR
from moola_core.decoding.decode import Predictions
from moola_core.errors import DataError
from moola_core.features.bars import COLUMNS, POSITION
from moola_core.features.candidate_columns import CONTEXT_COLUMNS, SPAN_COLUMNS
from moola_core.features.column_scores import ColumnWeights, answer_columns
from moola_core.features.tensors import Inputs, make_inputs
from moola_core.features.views import VIEWS
from moola_core.inference.ensemble import (
    fitted_recipes,
    mean_of_spans,
    mean_predictions,
    member_recipes,
    refines,
)
from moola_core.inference.forward import predict
from moola_core.inference.pool import PoolWeights, pool_predictions, stacked
from moola_core.inference.refine import refined
from moola_core.io.json_file import Written, read_json, write_json
from moola_core.model.candidate_heads import Z_LIMIT
from moola_core.model.jade import count_parameters
from moola_core.model.make import Model, make_model
from moola_core.spans.grid import MAX_LENGTH
from moola_core.spans.intervals import (
    MAX_WINDOW_BARS,
    MIN_WINDOW_BARS,
    WINDOW_BARS,
    FloatArray,
)

MAX_COLUMNS = 1000
MAX_MODELS = 1000
CACHED_BARS = 64 * WINDOW_BARS


@dataclass(frozen=True)
class TrainedModel:
    """Models that answer as one, by the recipe that made them and the decoder chosen for them.

    Attributes:
        labels: the words for its types.
        bar_ns: nanoseconds from bar to bar of what it was trained on.
        window_bars: bars of each window of that.
    """

    models: tuple[Model, ...]
    recipe: Recipe
    decoder: DecoderConfig
    labels: tuple[str, ...] = LABELS
    bar_ns: int = NANOSECONDS_A_BAR
    pool: PoolWeights | None = None
    window_bars: int = WINDOW_BARS

    @property
    def longest(self) -> int:
        """Bars of the longest span that it looks for."""
        return self.recipe.model.max_length or MAX_LENGTH

    def parts(self, bars: FloatArray) -> list[FloatArray]:
        """Return windows ``(B, T, 4)`` by as many as are best asked about at a time.

        Of networks over all spans what is said of every span stays in the processor's cache.
        """
        if self.recipe.model.kind != "unet" or not len(bars):
            return [bars]
        size = max(CACHED_BARS // bars.shape[1], 1)
        return [bars[low : low + size] for low in range(0, len(bars), size)]

    def predict(self, bars: FloatArray) -> Predictions:
        """Return the predictions for bars ``(B, T, 4)``: the mean of the models' probabilities."""
        parts = [self._predict(part) for part in self.parts(bars)]
        return parts[0] if len(parts) == 1 else stacked(parts)

    def _predict(self, bars: FloatArray) -> Predictions:
        device = next(self.models[0].parameters()).device
        checkpoints = range(self.recipe.ensemble.checkpoints)
        fitted, closer = fitted_recipes(self.recipe, self.pool), self._refiner
        recipes = [one for one in fitted for _ in checkpoints]
        models, columns = self.models, None
        if closer is not None:
            models, recipes = models[:-1], recipes[:-1]
        if self.pool is not None:
            networks = self.recipe.ensemble.num_networks
            models, recipes = models[:networks], recipes[:networks]
            if self.column_weights is not None:
                posterior, types = answer_columns(bars, self.column_weights)
                none = np.zeros(bars.shape[:2])
                columns = Predictions(none, none, none, types, span_posterior=posterior)
        shown: dict[tuple[str, UnitConfig], Inputs] = {}
        said = []
        for model, one in zip(models, recipes, strict=True):
            key = one.model.kind, one.candidates.unit
            if key not in shown:
                shown[key] = make_inputs(bars, one, device, reflection=one.model.symmetric)
            said.append(predict(model, shown[key]))
        of_networks = _looked_at(mean_predictions(said), self.recipe, closer, bars)
        if self.pool is None:
            return of_networks
        return pool_predictions(of_networks, columns, self.pool)

    @property
    def _refiner(self) -> Model | None:
        """The network that sees a crop around the first answer, if there is one."""
        return self.models[-1] if refines(self.recipe, self.pool) else None

    @cached_property
    def column_weights(self) -> ColumnWeights | None:
        """What the models of columns have learnt; None where they have no say."""
        if self.pool is None or not self.pool.asks_columns:
            return None
        ensemble = self.recipe.ensemble
        columns = slice(ensemble.num_networks, ensemble.size)
        return weights_of(self.models[columns], member_recipes(self.recipe)[columns])


def weights_of(models: Sequence[Model], recipes: Sequence[Recipe]) -> ColumnWeights:
    """Return what models that are linear in columns have learnt, one for each unit of price."""
    states = [{k: v.float().cpu().numpy() for k, v in one.state_dict().items()} for one in models]
    choice, context = "span_heads.choice_head.linear.", "span_heads.context_type_head.linear."
    columns = [
        np.stack([one["standardise.mean"], one["standardise.scale"], one[f"{choice}weight"][0]])
        for one in states
    ]
    types = [np.column_stack([one[f"{context}weight"], one[f"{context}bias"]]) for one in states]
    return ColumnWeights(
        candidates=[one.candidates for one in recipes],
        columns=np.stack(columns),
        limit=Z_LIMIT,
        contexts=np.array([SPAN_COLUMNS.index(name) for name in CONTEXT_COLUMNS]),
        types=np.stack(types),
        end_noise=tuple(recipes[0].model.end_noise),
    )


def joined(
    said: list[Predictions],
    recipe: Recipe,
    pool: PoolWeights | None,
    last: tuple[Model, FloatArray],
) -> Predictions:
    """One answer of all models: the mean of their probabilities, or networks and columns pooled.

    Args:
        said: by each of the models but one that looks closer.
        recipe: of all.
        pool: the weights; None: all count alike.
        last: the last model, and the bars that it looks at if it is the one that looks closer.
    """
    closer, bars = (last[0] if refines(recipe, pool) else None), last[1]
    if pool is None:
        return _looked_at(mean_predictions(said), recipe, closer, bars)
    networks = recipe.ensemble.num_networks
    columns = mean_of_spans(said[networks:]) if pool.asks_columns else None
    first = mean_predictions(said[:networks])
    return pool_predictions(_looked_at(first, recipe, closer, bars), columns, pool)


def _looked_at(
    first: Predictions, recipe: Recipe, closer: Model | None, bars: FloatArray
) -> Predictions:
    """Return `first`, refined by the model that looks `closer`, if any."""
    refine = recipe.ensemble.refine
    if closer is None or refine is None or refine.crop is None:
        return first
    return refined(first, bars, closer, refine.crop)


class ModelCard(Written):
    """``model.json``: how the weights beside it are to be used."""

    recipe: Recipe
    decoder: DecoderConfig
    features: list[str] = Field(max_length=MAX_COLUMNS)
    candidate_columns: list[str] = Field(max_length=MAX_COLUMNS)
    weights: list[str] = Field(min_length=1, max_length=MAX_MODELS)
    types: list[str] = Field(default=list(LABELS), min_length=1, max_length=MAX_COLUMNS)
    bar_ns: int = Field(default=NANOSECONDS_A_BAR, gt=0)
    pool: PoolWeights | None = None
    window_bars: int = Field(default=WINDOW_BARS, ge=MIN_WINDOW_BARS, le=MAX_WINDOW_BARS)


class DataFiles(Written):
    """The files that a run was trained and judged on, as it names them."""

    files: list[dict[str, Any]] = Field(max_length=1000)


class RunResult(Written):
    """What ``result.json`` says of a run's data."""

    data: DataFiles


def save_model(folder: Path, trained: TrainedModel) -> None:
    """Write all files below `folder`."""
    names = _file_names(trained)
    has_candidates = trained.recipe.model.has_candidates or trained.pool is not None
    for name, model in zip(names, trained.models, strict=True):
        state = model.state_dict()
        weights = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
        save_file(weights, folder / name)
        (folder / name).chmod(0o644)  # safetensors makes it 0600
    write_json(
        folder / "model.json",
        {
            "recipe": trained.recipe.model_dump(mode="json"),
            "decoder": trained.decoder.model_dump(mode="json"),
            "features": feature_names(trained.recipe),
            "candidate_columns": list(SPAN_COLUMNS) if has_candidates else [],
            "types": list(trained.labels),
            "bar_ns": trained.bar_ns,
            "window_bars": trained.window_bars,
            "num_parameters": sum(count_parameters(model) for model in trained.models),
            "weights": names,
            **({"pool": asdict(trained.pool)} if trained.pool else {}),
        },
    )


def load_model(folder: Path, device: torch.device) -> TrainedModel:
    """Return the model in `folder`, ready to predict.

    Raises:
        DataError: a file is missing, broken, or of another version's model.
    """
    try:
        card = read_json(folder / "model.json", ModelCard)
        if card.candidate_columns not in ([], list(SPAN_COLUMNS)):
            raise ValueError("its columns of candidate spans are others")  # noqa: TRY301
        recipes = [
            one
            for one in fitted_recipes(card.recipe, card.pool)
            for _ in range(card.recipe.ensemble.checkpoints)
        ]
        models = tuple(
            _load_one(folder, name, recipes[i % len(recipes)], len(card.features))
            for i, name in enumerate(card.weights)
        )
    except FileNotFoundError as err:
        raise DataError(
            f"{err.filename}: no such file, expected a trained model in {folder}"
        ) from err
    except (OSError, ValueError, SafetensorError, RuntimeError) as err:
        reason = " ".join(str(err).split())[:200]
        raise DataError(f"{folder}: not a model that this version can use, {reason}") from err
    return TrainedModel(
        tuple(model.to(device).eval() for model in models),
        card.recipe,
        card.decoder,
        tuple(card.types),
        card.bar_ns,
        card.pool,
        card.window_bars,
    )


def _load_one(folder: Path, name: str, recipe: Recipe, num_features: int) -> Model:
    if Path(name).name != name:
        raise ValueError(f"weights: expected the name of a file, got {name!r}")
    model = make_model(num_features, recipe.model)
    model.load_state_dict(load_file(folder / name))
    return model


def feature_names(recipe: Recipe) -> list[str]:
    """Return what the recipe's models see of each bar."""
    if recipe.model.kind == "unet":
        return list(VIEWS)
    return [*COLUMNS, *([POSITION] if recipe.data.position else [])]


def _file_names(trained: TrainedModel) -> list[str]:
    if len(trained.models) == 1:
        return ["model.safetensors"]
    first = trained.recipe.training.seed
    return [f"model-{first + i}.safetensors" for i in range(len(trained.models))]
