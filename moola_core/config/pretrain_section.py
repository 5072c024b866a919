"""The section `pretrain` of a recipe."""

from __future__ import annotations

from pathlib import PurePosixPath

from pydantic import Field

from moola_core.config.strict import Strict


class PretrainConfig(Strict):
    """Masked reconstruction on unlabelled bars; see `moola_core.pretraining.reconstruction`."""

    bars: tuple[PurePosixPath, ...] = Field(
        default=(PurePosixPath("bars/mnq_1m.parquet"),), min_length=1
    )
    # The last bars of each series judge.
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    windows: int = Field(default=4096, ge=1)  # drawn an epoch
    mask_share: float = Field(default=0.15, gt=0, lt=1)
    patch_bars: int = Field(default=10, ge=1, le=105)
    delta: float = Field(default=1.0, gt=0)
