"""The heads of JadeCompact and the outputs they make."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

from moola_core.config.sections import ModelConfig
from moola_core.model.dropout import Dropout

Outputs: TypeAlias = dict[str, Tensor]


class PerBarHead(nn.Module):
    """One linear score (or `size` scores) a bar from the states, after dropout."""

    def __init__(self, name: str, config: ModelConfig, size: int = 1) -> None:
        super().__init__()
        self.name, self.size = name, size
        self.dropout = Dropout(config.head_dropout)
        self.linear = nn.Linear(2 * config.hidden_size, size)

    def forward(self, states: Tensor, pooled: Tensor) -> Outputs:
        """``(B, T)`` from states ``(B, T, H)``, or ``(B, T, size)``."""
        del pooled
        scores = self.linear(self.dropout(states))
        return {self.name: scores[..., 0] if self.size == 1 else scores}


class PooledHead(nn.Module):
    """Linear scores of the whole window from its pooled state, after dropout."""

    def __init__(self, name: str, config: ModelConfig, size: int, *, sigmoid: bool = False) -> None:
        super().__init__()
        self.name, self.sigmoid = name, sigmoid
        self.dropout = Dropout(config.head_dropout)
        self.linear = nn.Linear(config.pooled_size, size)

    def forward(self, states: Tensor, pooled: Tensor) -> Outputs:
        """``(B, size)`` from the pooled state ``(B, pooled_size)``."""
        del states
        scores = self.linear(self.dropout(pooled))
        return {self.name: torch.sigmoid(scores) if self.sigmoid else scores}


class EdgesHead(nn.Module):
    """Where the span starts and stops: one score a bar each."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dropout = Dropout(config.head_dropout)
        self.linear = nn.Linear(2 * config.hidden_size, 2)

    def forward(self, states: Tensor, pooled: Tensor) -> Outputs:
        """Two ``(B, T)`` from states ``(B, T, H)``."""
        del pooled
        start, stop = self.linear(self.dropout(states)).unbind(dim=2)
        return {"start_logits": start, "stop_logits": stop}


def span_head(config: ModelConfig) -> nn.Module:
    """Make the span head that the recipe asks for."""
    if config.crf:
        return PerBarHead("emissions", config, size=2)
    return PerBarHead("span_logits", config)
