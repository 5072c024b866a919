"""Fit and judge a model: what train, evaluate and crossval share."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from jobs.common.checkpoints import identity_of
from jobs.common.data import find_device, read_file, require_same_bars, require_spans
from jobs.common.resolving import resolved
from jobs.common.window_sets import draw, note_offsets, split_windows
from moola_core.config.sections import Recipe
from moola_core.data.recrop import recrop
from moola_core.data.series import read_bars
from moola_core.data.splits import Split, make_folds, require_sides
from moola_core.data.windows import Windows
from moola_core.decoding.decode import Predictions, choose_decoder
from moola_core.errors import DataError
from moola_core.evaluation.metrics import Truth
from moola_core.features.tensors import WindowTensors, in_unit_of, make_tensors
from moola_core.inference.ensemble import refiner_recipe, trained_recipes
from moola_core.inference.forward import predict
from moola_core.inference.pool import PoolWeights
from moola_core.inference.trained_model import TrainedModel, joined
from moola_core.io.digest import file_sha256
from moola_core.model.jade import JadeCompact
from moola_core.model.make import Model, make_model
from moola_core.pretraining.encoder_file import find_encoder, load_encoder
from moola_core.spans.intervals import WINDOW_BARS
from moola_core.training.seeding import seed_everything
from moola_core.training.state import Run
from moola_core.training.type_head import fit_type_head

MAX_TYPES = 64  # of model.num_types


@dataclass
class Loaded:
    """Windows and their tensors, and a run for each model that was begun.

    Attributes:
        recipe: as it was given; a run's own has its seed.
        validation, validation_tensors: None where all windows train.
        files: as in result.json.
        pool: how much networks and columns have to say; None before the networks are fitted, or
            without columns.
        left_out: the windows that it was fit on and the answers to them, of models that were not
            taught by them; None as `pool`.
        data_dir: what the path of a pre-trained encoder is relative to.
    """

    recipe: Recipe
    device: torch.device
    train: Windows
    validation: Windows | None
    test: Windows | None
    train_tensors: WindowTensors
    validation_tensors: WindowTensors | None
    files: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    data_dir: Path = Path()
    pool: PoolWeights | None = None
    left_out: tuple[Windows, Predictions] | None = None

    @property
    def judged(self) -> Windows | None:
        """The windows that a run is scored on: of validation, or else those left out to weigh."""
        if self.validation is not None or self.left_out is None:
            return self.validation
        return self.left_out[0]


def load(recipe: Recipe, data_dir: Path, device_name: str, *, skip_bad: bool) -> Loaded:
    """Read the data, split it, and put tensors on the device.

    Raises:
        ConfigError: the device is not there.
        DataError: a file is missing or bad.
    """
    device = find_device(device_name)
    with_none = recipe.model.may_have_none
    name = recipe.data.labelled.as_posix()
    windows, entry = read_file(data_dir, name, skip_bad=skip_bad, keep_none=with_none)
    recipe = with_types_of(recipe, windows)
    note_offsets(name, windows, recipe)
    files, test = [entry], None
    if recipe.data.test is not None:
        name = recipe.data.test.as_posix()
        test, entry = read_file(data_dir, name, skip_bad=skip_bad, keep_none=with_none)
        test = test.with_labels(windows.labels, str(data_dir / recipe.data.test))
        require_same_bars(data_dir / recipe.data.test, test, windows)
        files.append(entry)
    train, validation = split_windows(windows, recipe)
    recipe = resolved(recipe, train)
    loaded = prepare(recipe, train, validation, device, data_dir, [test] if test else [])
    loaded.test, loaded.files = test, files
    if recipe.data.crops is not None:
        name = recipe.data.crops.bars.as_posix()
        files.append({"path": name, "sha256": file_sha256(data_dir / name), "windows": 0})
    if recipe.model.encoder is not None:
        path = find_encoder(data_dir / recipe.model.encoder)
        name = recipe.model.encoder.as_posix()
        files.append({"path": name, "sha256": file_sha256(path), "windows": 0})
    return loaded


def prepare(
    recipe: Recipe,
    train: Windows,
    validation: Windows | None,
    device: torch.device,
    data_dir: Path,
    unseen: Sequence[Windows] = (),
) -> Loaded:
    """Windows with their tensors on the device.

    Crops of training windows show no bar of `validation`, nor of `unseen`.
    """
    torch.set_num_threads(recipe.training.threads)
    if recipe.data.crops is not None:
        series = read_bars(data_dir / recipe.data.crops.bars)
        hidden = [*unseen, *([] if validation is None else [validation])]
        train = recrop(train, series, hidden, recipe.data.crops, recipe.training.seed)
    tensors = None
    if validation is not None:
        tensors = make_tensors(validation, recipe, device, reflection=recipe.model.symmetric)
    return Loaded(
        recipe=recipe,
        device=device,
        train=train,
        validation=validation,
        test=None,
        train_tensors=make_tensors(
            train, recipe, device, reflection=bool(recipe.training.reflection)
        ),
        validation_tensors=tensors,
        data_dir=data_dir,
    )


def begin_run(loaded: Loaded, recipe: Recipe) -> Run:
    """Return a new model of the seed of `recipe`, to be fitted next; it joins ``loaded.runs``."""
    seed_everything(recipe.training)
    train, validation = loaded.train_tensors, loaded.validation_tensors
    if recipe == refiner_recipe(loaded.recipe):
        # it sees crops around a first answer, of which there is none yet to validate it on
        bars = torch.tensor(loaded.train.bars, device=loaded.device)
        train, validation = replace(train, bars=bars), None
    elif recipe.model != loaded.recipe.model:
        train, validation = _tensors_of(loaded, recipe)
    elif recipe.ensemble.columns and not loaded.runs:
        # the first leaves a fold out, on which it is weighed; the others learn from all
        train = train.take(torch.from_numpy(pool_split(loaded).train).to(loaded.device))
    elif recipe.candidates != loaded.recipe.candidates:
        train = in_unit_of(train, loaded.train, recipe)
        if validation is not None and loaded.validation is not None:
            validation = in_unit_of(validation, loaded.validation, recipe)
    model = make_model(train.features.shape[2], recipe.model)
    if recipe.model.encoder is not None and isinstance(model, JadeCompact) and model.encoder:
        load_encoder(model.encoder, loaded.data_dir / recipe.model.encoder)
    run = Run(
        recipe=recipe,
        model=model.to(loaded.device),
        train=train,
        validation=validation,
        truth=None if loaded.validation is None else truth_of(loaded.validation),
        device=loaded.device,
        identity=identity_of(recipe, loaded.files),
        epochs_before=sum(before.recipe.training.epochs for before in loaded.runs),
        epochs_in_all=sum(one.training.epochs for one in trained_recipes(loaded.recipe)),
    )
    loaded.runs.append(run)
    return run


def pool_split(loaded: Loaded) -> Split:
    """Return what the networks learn from, and the fold left out, which their weights are fit on.

    It is the first that has a span on both sides.

    Raises:
        DataError: there are fewer groups of windows than folds, all share bars with those left out,
            or there is no span on one side.
    """
    recipe, has_span = loaded.recipe, loaded.train.has_span
    folds = make_folds(loaded.train, recipe.ensemble.pool_folds, recipe.split, recipe.training.seed)
    for split in folds:
        if has_span[split.train].any() and has_span[split.validation].any():
            return split
    require_sides(folds[0], recipe.split)
    raise DataError(
        f"{recipe.data.labelled}: {has_span.sum()} of {len(has_span)} windows have a span, expected"
        " enough that some can be left out; mark more"
    )


def weighed_on(loaded: Loaded) -> Windows:
    """Return those of the fold left out that have a span, or a draw of them; also scored on."""
    recipe = loaded.recipe
    windows = loaded.train.take(pool_split(loaded).validation)
    windows = windows.take(windows.has_span)
    number = min(recipe.ensemble.pool_windows, len(windows))
    return draw(windows, number, recipe.training.seed)


def _tensors_of(loaded: Loaded, recipe: Recipe) -> tuple[WindowTensors, WindowTensors | None]:
    """Windows as a member of another kind than the recipe's sees them, not more than it needs."""
    train = loaded.train.take(loaded.train.has_span)
    most = recipe.ensemble.columns_windows
    if len(train) > most:
        train = draw(train, most, loaded.recipe.training.seed)
    validation = None
    if loaded.validation is not None:
        windows = loaded.validation
        validation = make_tensors(windows, recipe, loaded.device)
    return make_tensors(train, recipe, loaded.device), validation


def judge(loaded: Loaded) -> tuple[TrainedModel, Predictions | None]:
    """Return the fitted models as one with its decoder, and what it says of validation."""
    runs = loaded.runs[int(loaded.recipe.ensemble.has_scout) :]
    for run in runs:
        if run.recipe.training.keep == "best" and run.validation is not None:
            run.model.load_state_dict(run.progress.best)
            fit_type_head(run.model, run.train, run.recipe)
    answering = [(model, run.validation) for run in runs for model in _answering(run)]
    models = tuple(model for model, _ in answering)
    decoder, predictions = loaded.recipe.decoder, None
    seen = [(model, tensors) for model, tensors in answering if tensors is not None]
    if loaded.validation is not None:
        said = [predict(model, tensors) for model, tensors in seen]
        bars = loaded.validation.bars
        predictions = joined(said, loaded.recipe, loaded.pool, (models[-1], bars))
        decoder = choose_decoder(predictions, loaded.validation.spans, decoder)
    train = loaded.train
    trained = TrainedModel(
        models, loaded.recipe, decoder, train.labels, train.bar_ns, loaded.pool, train.num_bars
    )
    return trained, predictions


def _answering(run: Run) -> list[Model]:
    """Return the run's model, or one for each of its last checkpoints."""
    if run.recipe.ensemble.checkpoints == 1:
        return [run.model]
    models = [copy.deepcopy(run.model) for _ in run.progress.snapshots]
    for model, snapshot in zip(models, run.progress.snapshots, strict=True):
        model.load_state_dict(snapshot)
        fit_type_head(model, run.train, run.recipe)
    return models


def with_types_of(recipe: Recipe, windows: Windows) -> Recipe:
    """Return the recipe with an output for every type of `windows`; never fewer than it asks for.

    Raises:
        DataError: there are more types than a model may have, or windows of a length that the
            recipe's model does not know.
    """
    if recipe.model.kind != "unet" and windows.num_bars != WINDOW_BARS:
        raise DataError(
            f"{recipe.data.labelled}: windows of {windows.num_bars} bars, recipe {recipe.name}"
            f" expected {WINDOW_BARS}; train with --config configs/train/span.yaml, or make"
            f" windows again: jobs.windows --length {WINDOW_BARS}"
        )
    require_spans(recipe.data.labelled.as_posix(), windows, recipe)
    if len(windows.labels) <= recipe.model.num_types:
        return recipe
    if len(windows.labels) > MAX_TYPES:
        raise DataError(
            f"column label: expected at most {MAX_TYPES} words for types, got {len(windows.labels)}"
        )
    model = recipe.model.model_copy(update={"num_types": len(windows.labels)})
    return recipe.model_copy(update={"model": model})


def truth_of(windows: Windows) -> Truth:
    """Return what the metrics compare with."""
    several = None if windows.several is None else (windows.several, windows.set_types)
    return Truth(windows.spans, windows.types, windows.group, several)
