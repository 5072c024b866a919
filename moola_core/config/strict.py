"""The base of every settings class."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """The base of every settings class: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
