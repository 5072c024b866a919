"""The sections of a recipe, each a model with its defaults."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from moola_core.config.data_sections import FOR_WHO_STARTS_RUNS, DataConfig, SplitConfig
from moola_core.config.pretrain_section import PretrainConfig
from moola_core.config.refine_section import RefineConfig
from moola_core.config.strict import Strict

Task = Literal["pointer", "type", "span", "countdown", "edges", "choice", "context_type", "segment"]


class UnitConfig(Strict):
    """The unit of price of candidates; see `moola_core.features.volatility`."""

    kind: Literal["sma", "wilder"] = "sma"
    bars: int = Field(default=30, ge=1)
    fee: float = Field(default=0.3, ge=0)  # units that a run has to earn a bar


class CandidateConfig(Strict):
    """The spans that the task `choice` chooses from; see `moola_core.features.candidates`."""

    number: int = Field(default=160, ge=1)
    unit: UnitConfig = UnitConfig()
    # Whether the place in the window is seen. Labelled windows were cut around their run, so that
    # it means something there; on a stream of bars it means nothing and misleads.
    place: bool = True


class TargetConfig(Strict):
    """What the heads are taught; widths and clips in bars."""

    span_edge_width: float = Field(default=1.0, ge=0)
    pointer_edge_width: float = Field(default=1.0, ge=0)
    countdown_clip: float = Field(default=20.0, gt=0)
    countdown_scale: float = Field(default=20.0, gt=0)


class ModelConfig(Strict):
    """The shape of JadeCompact, or of SpanNet."""

    kind: Literal["jade", "unet"] = "jade"  # unet: SpanNet, tasks segment and type
    width: int = Field(default=16, ge=1, le=256)  # channels of SpanNet's first level
    # Bars of the longest span of SpanNet; null: from the training labels, never under 25.
    max_length: int | None = Field(default=None, ge=2, le=2000)

    # Of SpanNet: that a window has no span is one more outcome; null: where training windows show
    # such ones.
    no_span: bool | None = None
    # Of SpanNet: a window may have any number of spans that share no bar, none too; null: where
    # training windows have more than one.
    several: bool | None = None

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
        if len(set(self.tasks)) != len(self.tasks) or not {"span", "choice", "segment"} & set(
            self.tasks
        ):
            raise ValueError("tasks: expected each once, span, choice or segment among them")
        if (self.kind == "unet") != ("segment" in self.tasks):
            raise ValueError("kind: expected unet with the task segment, and only with it")
        for name in ("no_span", "several"):
            if getattr(self, name) and self.kind != "unet":
                raise ValueError(f"{name}: expected true of kind unet alone")
        if self.kind == "unet" and set(self.tasks) - {"segment", "type"}:
            raise ValueError("tasks: expected segment, or segment and type, of kind unet")
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
    def may_have_none(self) -> bool:
        """Whether windows without a span are learnt from."""
        return self.kind == "unet" and self.no_span is not False

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
    # Of the task segment: cross-entropy bar by bar (mean), beside the span's likelihood.
    bar_share: float = Field(default=20.0, ge=0)
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
    # Half of the windows, drawn anew each epoch, are shown upside down. spans: without their types,
    # since a type may mean the direction.
    reflection: bool | Literal["spans"] = False
    # Of kind unet: each window is played faster or slower by up to exp(stretch), and noise of the
    # deviation jitter is laid on its features; see `moola_core.features.stretch`.
    stretch: float = Field(default=0.0, ge=0, le=1)
    jitter: float = Field(default=0.0, ge=0, le=1)
    # At most so many windows are shown in all: many windows are shown in fewer epochs.
    most_shown: int | None = Field(default=None, ge=1)
    # Of kind unet: the mean of the weights answers, which keeps so much of itself a step.
    average: float = Field(default=0.0, ge=0, lt=1)
    # Of kind unet: the ridge of a fit of the head of types alone, when all else is trained.
    type_ridge: float | None = Field(default=None, gt=0)
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

    # disjoint: any number of spans a window, of a model that knows several
    kind: Literal["threshold", "best_span", "viterbi", "expected_iou", "disjoint"] = "threshold"
    choose: bool = False
    threshold: float = Field(default=0.5, gt=0, lt=1)
    max_gap: int = Field(default=0, ge=0)
    min_bars: int = Field(default=1, ge=1)
    bias: float = 0.0
    min_length: int = Field(default=2, ge=1)
    max_length: int = Field(default=25, ge=1, le=2000)
    floor: float = Field(default=0.0, ge=0, le=1)
    # Of disjoint: expected IoU + P(IoU > 0.5) that a span has to have.
    least_gain: float = Field(default=0.5, gt=0, le=2)

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
    refine: RefineConfig | None = None  # of kind unet: a second look
    columns: tuple[UnitConfig, ...] = ()  # linear choices in these units, beside kind unet
    columns_windows: int = Field(default=210, ge=1)  # at most so many teach them
    columns_ridge: float = Field(default=0.02, ge=0)
    # With columns: the first network leaves one of so many folds of the training windows out, on
    # which the say of networks and columns is weighed.
    pool_folds: int = Field(default=5, ge=2, le=20)
    pool_windows: int = Field(default=420, ge=20)  # at most so many
    # Above 0: a scout leaves it out instead, a network that does not answer; it is trained for so
    # large a share of the epochs.
    scout: float = Field(default=0.0, ge=0, le=1)

    @property
    def num_networks(self) -> int:
        """How many models are trained before the columns."""
        return self.seeds * max(len(self.units), 1)

    @property
    def size(self) -> int:
        """How many models are trained to answer."""
        return self.num_networks + len(self.columns)

    @property
    def has_scout(self) -> bool:
        """Whether the first network that is trained does not answer."""
        return bool(self.columns) and self.scout > 0

    @property
    def num_answers(self) -> int:
        """How many models answer."""
        return self.size * self.checkpoints


class Recipe(Strict):
    """Everything that decides a run but the data's content."""

    model_config = ConfigDict(json_schema_extra=FOR_WHO_STARTS_RUNS)

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
        said = {"choice", "segment"} & set(self.model.tasks)
        if self.decoder.kind == "expected_iou" and not said:
            raise ValueError("decoder.kind: expected_iou needs choice or segment among model.tasks")
        linear = self.model.hidden_size == 0 and self.model.choice_hidden_size == 0
        if self.training.optimizer == "lbfgs" and not linear:
            raise ValueError(
                "training.optimizer: lbfgs is for a linear model, expected hidden sizes of 0"
            )
        self._require_checkpoints()
        training, ensemble = self.training, self.ensemble
        alien = (training.stretch, training.jitter, training.average, training.type_ridge)
        if self.model.kind != "unet" and any((*alien, ensemble.columns, ensemble.refine)):
            raise ValueError(
                "training.stretch, .jitter, .average and .type_ridge, ensemble.columns and .refine"
                " are for a model of kind unet, expected 0, 0, 0, null, [] and null"
            )
        chooses = self.decoder.choose or training.keep == "best"
        if chooses and self.split.validation_share == 0:
            raise ValueError(
                "split.validation_share: 0 leaves nothing to choose on,"
                " expected decoder.choose false and training.keep last"
            )
        return self

    def _require_checkpoints(self) -> None:
        wanted, training = self.ensemble.checkpoints, self.training
        for name, has in (
            ("training.average", training.average),
            ("ensemble.columns or .refine", self.ensemble.columns or self.ensemble.refine),
            ("training.keep best", training.keep == "best"),
        ):
            if wanted > 1 and has:
                raise ValueError(f"ensemble.checkpoints: expected 1 with {name}")
        there = -(-training.epochs // training.checkpoint_epochs)
        if wanted > there:
            raise ValueError(
                f"ensemble.checkpoints: {training.epochs} epochs leave {there} checkpoints"
                f" {training.checkpoint_epochs} apart, expected at most so many, got {wanted}"
            )
