"""Recipes: YAML read into frozen settings; an unknown key or a wrong value is one line.

Every default is here and in no code that reads it. Paths are relative to the data's root.
"""

from __future__ import annotations

import reprlib
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from moola_core.errors import ConfigError

Task = Literal["pointer", "type", "span", "countdown", "edges", "choice", "context_type"]

# PyYAML's own slips: a date that can't be, an empty !!int, !!bool x, !!timestamp x, too deep.
_BROKEN_YAML = (
    *(yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError),
)


class Strict(BaseModel):
    """The base of every settings class: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CropConfig(Strict):
    """More training windows, cut anew from the series; see `moola_core.cropping`."""

    number: int = Field(default=4, ge=1)  # at most, of each window
    reach: int = Field(default=20, ge=1, le=104)  # bars that a crop is shifted at most
    bars: PurePosixPath = PurePosixPath("bars/mnq_1m.parquet")  # the series


class DataConfig(Strict):
    """Which windows, and what is made of their bars."""

    labelled: PurePosixPath = PurePosixPath("labelled/train_210.parquet")
    test: PurePosixPath | None = None
    position: bool = False
    offsets: tuple[int, ...] | None = None  # windows shifted by these bars; null: all
    windows: int | None = Field(default=None, ge=1)  # so many, drawn by training.seed; null: all
    crops: CropConfig | None = None


class UnitConfig(Strict):
    """The unit of price that candidates are found and seen in; see `moola_core.volatility`."""

    kind: Literal["sma", "wilder"] = "sma"
    bars: int = Field(default=30, ge=1)
    fee: float = Field(default=0.3, ge=0)  # units that a run has to earn a bar


class CandidateConfig(Strict):
    """The spans that the task `choice` chooses from; see `moola_core.candidates`."""

    number: int = Field(default=160, ge=1)
    unit: UnitConfig = UnitConfig()
    # Whether the place in the window is seen. Labelled windows were cut around their run, so that
    # it tells something there; on a stream of bars it tells nothing and misleads.
    place: bool = True


class SplitConfig(Strict):
    """How validation windows are chosen; see `moola_core.splits`."""

    kind: Literal["random", "grouped", "blocked"] = "grouped"
    validation_share: float = Field(default=0.2, ge=0, lt=1)  # 0: train on everything
    purge: bool = True
    embargo_bars: int = Field(default=0, ge=0)
    uniqueness_weights: bool = True


class TargetConfig(Strict):
    """What the heads are taught; widths and clips in bars."""

    span_edge_width: float = Field(default=1.0, ge=0)
    pointer_edge_width: float = Field(default=1.0, ge=0)
    countdown_clip: float = Field(default=20.0, gt=0)
    countdown_scale: float = Field(default=20.0, gt=0)


class ModelConfig(Strict):
    """The shape of JadeCompact."""

    # 0: no encoder, see tasks choice, context_type
    hidden_size: int = Field(default=96, ge=0, le=1024)
    num_layers: int = Field(default=1, ge=1, le=8)
    # The folder of a run of the recipe pretrain, whose encoder this one starts from.
    encoder: PurePosixPath | None = None
    pooled_size: int = Field(default=64, ge=1, le=4096)
    num_types: int = Field(default=3, ge=2, le=64)
    input_dropout: float = Field(default=0.3, ge=0, lt=1)
    head_dropout: float = Field(default=0.6, ge=0, lt=1)
    tasks: tuple[Task, ...] = ("pointer", "type", "span", "countdown")
    crf: bool = False
    symmetric: bool = False  # answers are means over the window and its mirror image
    choice_hidden_size: int = Field(default=16, ge=0, le=1024)  # 0: linear in the columns
    choice_dropout: float = Field(default=0.3, ge=0, lt=1)
    choice_state_dropout: float = Field(default=0.5, ge=0, lt=1)
    # The probability that a label's end is off by 0, 1, 2 bars to one side.
    end_noise: tuple[float, ...] = (0.4, 0.25, 0.05)

    @model_validator(mode="after")
    def _is_distribution(self) -> ModelConfig:
        noise = self.end_noise
        if not noise or min(noise) < 0 or abs(noise[0] + 2 * sum(noise[1:]) - 1) > 1e-6:
            raise ValueError("end_noise: expected p0 + 2 (p1 + p2 + ...) = 1, none negative")
        return self

    @model_validator(mode="after")
    def _has_span(self) -> ModelConfig:
        if len(set(self.tasks)) != len(self.tasks) or not {"span", "choice"} & set(self.tasks):
            raise ValueError("tasks: expected each once, span or choice among them")
        if "context_type" in self.tasks and ("choice" not in self.tasks or "type" in self.tasks):
            raise ValueError("tasks: expected context_type with choice and without type")
        if self.crf and "span" not in self.tasks:
            raise ValueError("crf: expected span among the tasks")
        return self

    @model_validator(mode="after")
    def _can_do_without_encoder(self) -> ModelConfig:
        others = set(self.tasks) - {"choice", "context_type"}
        if self.hidden_size == 0 and (others or self.symmetric or self.encoder is not None):
            raise ValueError(
                "hidden_size: 0 is for the tasks choice and context_type alone,"
                " expected no encoder and symmetric false"
            )
        return self

    @property
    def has_candidates(self) -> bool:
        """Whether a task needs candidate spans."""
        return "choice" in self.tasks


class LossConfig(Strict):
    """How the heads are judged."""

    span: Literal["logits", "probability"] = "logits"
    pos_weight: float = Field(default=1.0, gt=0)
    pointer_delta: float = Field(default=0.08, gt=0)
    countdown_delta: float = Field(default=1.0, gt=0)
    choice_soft_share: float = Field(default=0.0, ge=0, le=1)  # of the soft form, see losses
    ridge: float = Field(default=0.0, ge=0)  # times the squared weights on candidates' columns


class TrainingConfig(Strict):
    """The loop."""

    epochs: int = Field(default=20, ge=1)
    # lbfgs: an epoch is some steps on all windows at once; for a model linear in its columns.
    optimizer: Literal["adamw", "lbfgs"] = "adamw"
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    weight_decay: float = Field(default=0.01, ge=0)
    # The same for what looks at candidate spans: few weights on many columns.
    choice_learning_rate: float = Field(default=0.01, gt=0)
    choice_weight_decay: float = Field(default=1.0, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)
    reflection: bool = False
    seed: int = Field(default=0, ge=0, lt=2**31)
    keep: Literal["last", "best"] = "last"
    best_by: Literal["total", "f1"] = "total"
    checkpoint_epochs: int = Field(default=5, ge=1)
    checkpoint_minutes: float = Field(default=5.0, gt=0)
    # One thread: the same bits on any machine, and no stall where others use the cores (a busy
    # 2-core box took 0.4 to 33 s an epoch with two threads, 0.5 s with one).
    threads: int = Field(default=1, ge=1)


class DecoderConfig(Strict):
    """From probabilities to a span; `choose` picks threshold or bias on validation."""

    kind: Literal["threshold", "best_span", "viterbi", "expected_iou"] = "threshold"
    choose: bool = False
    threshold: float = Field(default=0.5, gt=0, lt=1)
    max_gap: int = Field(default=0, ge=0)
    min_bars: int = Field(default=1, ge=1)
    bias: float = 0.0
    min_length: int = Field(default=2, ge=1)
    max_length: int = Field(default=25, ge=1, le=105)
    floor: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> DecoderConfig:
        if self.min_length > self.max_length:
            raise ValueError("min_length: expected at most max_length")
        return self


class EnsembleConfig(Strict):
    """Which models answer together: `seeds` in each of `units`, numbered from training.seed on."""

    seeds: int = Field(default=1, ge=1)
    units: tuple[UnitConfig, ...] = ()  # empty: that of candidates
    # The last so many checkpoints of each, training.checkpoint_epochs apart.
    checkpoints: int = Field(default=1, ge=1)

    @property
    def size(self) -> int:
        """How many models are trained."""
        return self.seeds * max(len(self.units), 1)

    @property
    def num_answers(self) -> int:
        """How many models answer."""
        return self.size * self.checkpoints


class PretrainConfig(Strict):
    """Masked reconstruction on unlabelled bars; see `moola_core.reconstruction`."""

    bars: tuple[PurePosixPath, ...] = Field(
        default=(PurePosixPath("bars/mnq_1m.parquet"),), min_length=1
    )
    # The last bars of each series judge.
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    windows: int = Field(default=4096, ge=1)  # drawn an epoch
    mask_share: float = Field(default=0.15, gt=0, lt=1)
    patch_bars: int = Field(default=10, ge=1, le=105)
    delta: float = Field(default=1.0, gt=0)


class Recipe(Strict):
    """Everything that decides a run but the data's content."""

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    data: DataConfig = DataConfig()
    candidates: CandidateConfig = CandidateConfig()
    split: SplitConfig = SplitConfig()
    targets: TargetConfig = TargetConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()
    decoder: DecoderConfig = DecoderConfig()
    # With this section the run pre-trains an encoder and needs no labels.
    pretrain: PretrainConfig | None = None
    ensemble: EnsembleConfig = EnsembleConfig()

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.model.crf != (self.decoder.kind == "viterbi"):
            raise ValueError("decoder.kind: expected viterbi with model.crf, and only with it")
        if self.decoder.kind == "expected_iou" and not self.model.has_candidates:
            raise ValueError("decoder.kind: expected_iou needs choice among model.tasks")
        linear = self.model.hidden_size == 0 and self.model.choice_hidden_size == 0
        if self.training.optimizer == "lbfgs" and not linear:
            raise ValueError(
                "training.optimizer: lbfgs is for a linear model,"
                " expected model.hidden_size and model.choice_hidden_size 0"
            )
        self._require_checkpoints()
        if self.split.validation_share == 0 and (
            self.decoder.choose or self.training.keep == "best"
        ):
            raise ValueError(
                "split.validation_share: 0 leaves nothing to choose on,"
                " expected decoder.choose false and training.keep last"
            )
        return self

    def _require_checkpoints(self) -> None:
        wanted, training = self.ensemble.checkpoints, self.training
        if wanted > 1 and training.keep == "best":
            raise ValueError("ensemble.checkpoints: expected training.keep last with more than 1")
        there = -(-training.epochs // training.checkpoint_epochs)
        if wanted > there:
            raise ValueError(
                f"ensemble.checkpoints: {training.epochs} epochs leave {there} checkpoints"
                f" {training.checkpoint_epochs} apart, expected at most so many, got {wanted}"
            )


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """The recipe in `path`, changed by ``section.key=value`` overrides.

    Raises:
        ConfigError: no such file, broken YAML, an unknown key or a wrong value, anywhere.
    """
    if not path.is_file():
        raise ConfigError(
            f"{path}: no such recipe, expected a YAML file like configs/train/seed.yaml"
        )
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except _BROKEN_YAML as err:
        raise ConfigError(f"{path}: not YAML, {_one_line(err)}") from err
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(table).__name__}")
    table = {"name": path.stem, **(table or {})}
    _validate(table, str(path))
    for override in overrides or []:
        table = _set(table, override)
    return _validate(table, " ".join(f"--set {_flat(override)}" for override in overrides or []))


def load_decoder(path: Path) -> DecoderConfig:
    """The decoder in `path`, as `dump_decoder` wrote it: a recipe's section `decoder` alone.

    Raises:
        ConfigError: no such file, broken YAML, an unknown key or a wrong value.
    """
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        return DecoderConfig.model_validate(table["decoder"])
    except OSError as err:
        raise ConfigError(f"{path}: no such file, expected a decoder of jobs.tune") from err
    except ValidationError as err:
        raise ConfigError(f"{path}: {_flat(_first_error(err), 1000)}") from err
    except _BROKEN_YAML as err:
        raise ConfigError(f"{path}: expected YAML with the section decoder") from err


def dump_decoder(decoder: DecoderConfig) -> str:
    """The decoder as the section of a recipe."""
    return yaml.safe_dump({"decoder": decoder.model_dump(mode="json")}, sort_keys=False)


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every key resolved."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def _set(table: dict[str, Any], override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    where = f"--set {_flat(override)}"
    if not (equals and dot and section and name):
        raise ConfigError(f"{where}: expected section.key=value, like training.epochs=40")
    try:
        value = yaml.safe_load(text)
    except _BROKEN_YAML as err:
        raise ConfigError(f"{where}: not a YAML value, {_one_line(err)}") from err
    old = table.get(section) or {}
    if not isinstance(old, dict):
        raise ConfigError(f"{where}: {_flat(section)} has no keys; expected section.key=value")
    return {**table, section: {**old, name: value}}


def _validate(table: dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(table)
    except ValidationError as err:
        raise ConfigError(f"{where}: {_flat(_first_error(err), 1000)}") from err


def _first_error(err: ValidationError) -> str:
    first = err.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {key}, expected one of {', '.join(_siblings(first['loc']))}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if not key or first["type"] == "value_error":
        return f"{key}: {message}".removeprefix(": ")
    return f"{key}: {message}, got {_shown(first['input'])}"


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location[:-1]:
        inner = model.model_fields[str(part)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)


def _shown(value: Any) -> str:
    """A value in a few words: YAML's aliases can make one that is endless when written out."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 100, 100
    return short.repr(value)


def _one_line(err: Exception) -> str:
    return _flat(str(err), 500)


def _flat(text: str, limit: int = 200) -> str:
    return " ".join(text.split())[:limit]
