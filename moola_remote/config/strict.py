"""The base of files of our own that are read with pydantic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

import moola_remote.config.no_plugins  # noqa: F401


class Strict(BaseModel):
    """A frozen model in which a misspelt key is an error."""

    # What a command does not read is not built.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
