"""Choosing one span of a window's candidates, and its type by what went before it.

Letters: B windows, T bars, H states a bar, K candidates, F columns a candidate, C types.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moola_core.config.sections import ModelConfig
from moola_core.features.candidate_columns import CONTEXT_COLUMNS, SPAN_COLUMNS
from moola_core.model.dropout import Dropout

Z_LIMIT = 6.0


class Standardise(nn.Module):
    """Columns to mean 0 and deviation 1 of the training windows, clipped to ±6 deviations."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(SPAN_COLUMNS)))
        self.register_buffer("scale", torch.ones(len(SPAN_COLUMNS)))

    def fit(self, features: Tensor) -> None:
        """Take the moments of training candidates ``(B, K, F)``."""
        flat = features.flatten(0, 1).double()
        self.mean.copy_(flat.mean(dim=0))
        self.scale.copy_(flat.std(dim=0, unbiased=False) + 1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, K, F)`` from the same."""
        return (features - self.mean).div_(self.scale).clamp_(-Z_LIMIT, Z_LIMIT)


class ChoiceHead(nn.Module):
    """One score a candidate: what its columns say and what the encoder's states say.

    ``w z + mlp(z) + exp(g) * (sum of inside scores + start score + stop score)``; the three scores
    a bar are linear in its states, the sum is a difference of prefix sums. Without hidden units
    and without an encoder ``w z`` is all.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        size = config.choice_hidden_size
        self.linear = nn.Linear(len(SPAN_COLUMNS), 1, bias=False)
        nn.init.zeros_(self.linear.weight)
        self.mlp = None
        if size > 0:
            self.mlp = nn.Sequential(
                nn.Linear(len(SPAN_COLUMNS), size),
                nn.SiLU(),
                Dropout(config.choice_dropout),
                nn.Linear(size, 1, bias=False),
            )
        self.bar_scores = None
        if config.hidden_size > 0:
            self.dropout = Dropout(config.choice_state_dropout)
            self.bar_scores = nn.Linear(2 * config.hidden_size, 3)
            self.log_gain = nn.Parameter(torch.zeros(()))

    def forward(self, states: Tensor, columns: Tensor, spans: Tensor) -> Tensor:
        """``(B, K)`` from states ``(B, T, H)``, standardised columns and spans."""
        scores = self.linear(columns)[..., 0]
        if self.mlp is not None:
            scores = scores + self.mlp(columns)[..., 0]
        if self.bar_scores is not None:
            bars = self.bar_scores(self.dropout(states))
            scores = scores + torch.exp(self.log_gain) * span_sums(bars, spans)
        return scores


class ContextHead(nn.Module):
    """Type of each candidate if it were the run: linear in the columns of what went before."""

    index: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        columns = [SPAN_COLUMNS.index(name) for name in CONTEXT_COLUMNS]
        self.register_buffer("index", torch.tensor(columns), persistent=False)
        self.linear = nn.Linear(len(columns), config.num_types)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, columns: Tensor) -> Tensor:
        """``(B, K, C)`` logits from standardised columns ``(B, K, F)``."""
        return self.linear(columns[..., self.index])


def span_sums(bars: Tensor, spans: Tensor) -> Tensor:
    """``(B, K)``: scores of bars ``(B, T, 3)`` gathered for spans ``(B, K, 2)``.

    The sum of the first score over ``[start, stop)``, the second one at ``start``, the third one
    at ``stop - 1``.
    """
    inside, first, last = bars.unbind(dim=2)
    # the shape is now (B, T + 1)
    before = torch.nn.functional.pad(inside.cumsum(dim=1), (1, 0))
    start, stop = spans.unbind(dim=2)
    sums = before.gather(1, stop) - before.gather(1, start)
    return sums + first.gather(1, start) + last.gather(1, stop - 1)
