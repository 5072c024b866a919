"""The base of what comes from a pod and is read with pydantic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

import moola_remote.config.no_plugins  # noqa: F401


class Remote(BaseModel):
    """The base of what comes from a pod: frozen, and keys that we don't know are passed over."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, protected_namespaces=(), defer_build=True
    )
