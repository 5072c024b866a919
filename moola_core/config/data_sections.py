"""The sections of a recipe on its windows: where they are, how they are divided."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field
from pydantic.config import JsonDict

from moola_core.config.strict import Strict

# In the schema of recipes, for who starts runs: with one of these sections several GPUs can share a
# training; these keys are files or folders below the data folder.
FOR_WHO_STARTS_RUNS: JsonDict = {
    "x-shared-with": ["pretrain"],
    "x-data-paths": [
        *("data.labelled", "data.test", "data.crops.bars"),
        *("pretrain.bars", "model.encoder"),
    ],
}


class CropConfig(Strict):
    """More training windows, cut from the series once more; see `moola_core.data.recrop`."""

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


class SplitConfig(Strict):
    """How validation windows are chosen; see `moola_core.data.splits`."""

    kind: Literal["random", "grouped", "blocked"] = "grouped"
    validation_share: float = Field(default=0.2, ge=0, lt=1)  # 0: train on everything
    purge: bool = True
    embargo_bars: int = Field(default=0, ge=0)
    uniqueness_weights: bool = True
