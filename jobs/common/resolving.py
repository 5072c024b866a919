"""What a recipe leaves to the training windows."""

from __future__ import annotations

import math

import numpy as np

from moola_core.config.refine_section import RefineConfig
from moola_core.config.sections import ModelConfig, Recipe, TrainingConfig
from moola_core.data.windows import Windows
from moola_core.features.crops import crop_bars
from moola_core.spans.grid import MAX_LENGTH

LONGER = 1.4  # than the longest label may a span be


def resolved(recipe: Recipe, train: Windows) -> Recipe:
    """`recipe` with what it leaves to the training windows: longest span, how many, epochs."""
    model, training = recipe.model, recipe.training
    ensemble = recipe.ensemble
    if model.kind == "unet" and model.several is None:
        model = model.model_copy(update={"several": train.several is not None})
    if model.several:  # that there is none is one of the sets; columns know of one span alone
        model = model.model_copy(update={"no_span": True})
        ensemble = ensemble.model_copy(update={"columns": ()})
    if model.may_have_none and model.no_span is None:
        model = model.model_copy(update={"no_span": not bool(train.has_span.all())})
    if model.kind == "unet" and model.max_length is None:
        longest = int(np.diff(train.sets, axis=2).max())
        most = min(max(MAX_LENGTH, round(LONGER * longest)), train.bars.shape[1])
        model = model.model_copy(update={"max_length": most})
    if training.most_shown is not None:
        epochs = min(training.epochs, max(training.most_shown // len(train), 1))
        training = training.model_copy(update={"epochs": epochs})
    ensemble = ensemble.model_copy(update={"refine": _refine(ensemble.refine, model, train)})
    if ensemble.refine is not None:
        training = _in_larger_batches(training, ensemble.refine, len(train))
    decoder = recipe.decoder
    if model.kind == "unet":
        decoder = decoder.model_copy(update={"max_length": model.max_length})
    if model.several:
        decoder = decoder.model_copy(update={"kind": "disjoint"})
    parts = {"model": model, "training": training, "decoder": decoder, "ensemble": ensemble}
    return recipe.model_copy(update=parts)


def _refine(refine: RefineConfig | None, model: ModelConfig, train: Windows) -> RefineConfig | None:
    """Return how a second network looks closer; None where a window may hold not one span."""
    if refine is None or model.several or model.no_span:
        return None
    size = refine.crop or crop_bars(np.diff(train.spans, axis=1)[:, 0])
    if size >= train.num_bars:
        return None
    return refine.model_copy(update={"crop": size})


def _in_larger_batches(
    training: TrainingConfig, refine: RefineConfig, number: int
) -> TrainingConfig:
    """Return the batches of networks that are two, for `number` windows, and their rate."""
    most = training.epochs * number // refine.least_steps
    size = max(min(refine.batch_size, most), training.batch_size)
    rate = training.learning_rate * math.sqrt(size / training.batch_size)
    return training.model_copy(update={"batch_size": size, "learning_rate": rate})
