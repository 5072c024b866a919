"""The section ``ensemble.refine`` of a recipe."""

from __future__ import annotations

from pydantic import Field

from moola_core.config.strict import Strict


class RefineConfig(Strict):
    """A second network that sees a crop around the first answer; none where columns say more.

    Nor where a window may hold several spans, or none. See `moola_core.inference.refine`.
    """

    crop: int | None = Field(default=None, ge=8, le=2000)  # bars; null: by the labels' lengths
    # Of both networks: larger batches pay for the second. The rate is that of training.batch_size
    # times the root of how much larger. Few windows: so many steps at least, in smaller batches.
    batch_size: int = Field(default=32, ge=2)
    least_steps: int = Field(default=150, ge=1)
