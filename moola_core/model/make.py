"""The model that a recipe names."""

from __future__ import annotations

from typing import TypeAlias

from moola_core.config.sections import ModelConfig
from moola_core.model.jade import JadeCompact
from moola_core.model.several_net import SeveralNet
from moola_core.model.span_net import SpanNet

Model: TypeAlias = JadeCompact | SpanNet


def make_model(num_features: int, config: ModelConfig) -> Model:
    """Return a new model of the kind that `config` names, for features ``(B, T, num_features)``."""
    if config.kind == "unet":
        if config.several:
            return SeveralNet(num_features, config)
        return SpanNet(num_features, config)
    return JadeCompact(num_features, config)
