"""JadeCompact: a small BiLSTM with one head a task. MODEL.md, section 4.

Letters: B windows, T bars (105), F features a bar (12 or 13), H = 2 * hidden_size, K types.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from moola_core.config.sections import ModelConfig
from moola_core.features.candidates import Candidates
from moola_core.model.candidate_heads import ChoiceHead, ContextHead, Standardise
from moola_core.model.crf import SpanCrf
from moola_core.model.dropout import Dropout
from moola_core.model.heads import EdgesHead, Outputs, PerBarHead, PooledHead, span_head

# A new task is a head here or in SPAN_HEADS, a loss in criterion.LOSSES and a name in config.Task.
# A head sees the states of all bars and the pooled state, and returns its outputs by name.
HEADS: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "pointer": lambda config: PooledHead("pointer", config, 2, sigmoid=True),
    "type": lambda config: PooledHead("type_logits", config, config.num_types),
    "span": span_head,
    "countdown": lambda config: PerBarHead("countdown", config),
    "edges": EdgesHead,
}
# These score candidate spans.
SPAN_HEADS: dict[str, Callable[[ModelConfig], nn.Module]] = {
    "choice": ChoiceHead,
    "context_type": ContextHead,
}


class JadeCompact(nn.Module):
    """BiLSTM, mean pool, heads, and one log-sigma a task.

    Args:
        num_features: F.
        config: sizes, dropouts and tasks.

    With F = 12 and the seed's four tasks it has exactly 97,547 parameters.
    """

    def __init__(self, num_features: int, config: ModelConfig) -> None:
        super().__init__()
        self.symmetric = config.symmetric
        self.end_noise = config.end_noise
        self.input_dropout = Dropout(config.input_dropout)
        self.encoder = self.pool = None
        if config.hidden_size > 0:
            self.encoder = make_encoder(num_features, config)
            self.pool = nn.Linear(2 * config.hidden_size, config.pooled_size)
        # `type` alone is no name for a module: it is a method of every one.
        self.heads = nn.ModuleDict(
            {f"{task}_head": HEADS[task](config) for task in config.tasks if task in HEADS}
        )
        self.standardise = Standardise() if config.has_candidates else None
        self.span_heads = nn.ModuleDict(
            {
                f"{task}_head": SPAN_HEADS[task](config)
                for task in config.tasks
                if task in SPAN_HEADS
            }
        )
        self.crf = SpanCrf() if config.crf else None
        # the shape is now (tasks,), in the order of config.tasks
        self.log_sigma = nn.Parameter(torch.zeros(len(config.tasks)))

    def forward(self, features: Tensor, candidates: Candidates | None = None) -> Outputs:
        """Scores of every head.

        Args:
            features: ``(B, T, F)`` float32.
            candidates: needed by the tasks of `SPAN_HEADS`.

        Returns:
            By name, those of the configured tasks: ``states (B, T, H)``, ``pointer (B, 2)`` in
            0..1, ``type_logits (B, K)``, ``span_logits (B, T)`` or, with a CRF, ``emissions
            (B, T, 2)``, ``countdown (B, T)`` in scaled bars, ``start_logits (B, T)`` and
            ``stop_logits (B, T)``, scores of each bar as the first and as the last one inside,
            ``choice_logits (B, K)``, ``context_logits (B, K, C)``.

        Raises:
            ValueError: a task needs candidates, and there are none.
        """
        # the shape is now (B, T, H); of a model without encoder H is 0
        states = features[..., :0]
        outputs: Outputs = {}
        if self.encoder is not None and self.pool is not None:
            states, _ = self.encoder(self.input_dropout(features))
            # the shape is now (B, pooled_size)
            pooled = torch.relu(self.pool(states.mean(dim=1)))
            for head in self.heads.values():
                outputs |= head(states, pooled)
        outputs["states"] = states
        if self.standardise is not None:
            if candidates is None:
                raise ValueError("expected candidates for the tasks choice and context_type")
            columns = self.standardise(candidates.features)
            choice = self.span_heads["choice_head"]
            outputs["choice_logits"] = choice(states, columns, candidates.spans)
            if "context_type_head" in self.span_heads:
                outputs["context_logits"] = self.span_heads["context_type_head"](columns)
        return outputs

    def span_logits(self, outputs: Outputs) -> Tensor:
        """``(B, T)``: log-odds of each bar to be inside; with a CRF from its marginals."""
        if self.crf is None:
            return outputs["span_logits"]
        inside = self.crf.marginals(outputs["emissions"])[..., 1]
        return torch.logit(inside, eps=1e-6)

    def column_parameters(self) -> list[nn.Parameter]:
        """Return the weights that read the columns of candidates."""
        parts = ("context_type_head.", "choice_head.linear.", "choice_head.mlp.")
        named = self.span_heads.named_parameters()
        return [parameter for name, parameter in named if name.startswith(parts)]


def make_encoder(num_features: int, config: ModelConfig) -> nn.LSTM:
    """``(B, T, F)`` in, states ``(B, T, H)`` out."""
    return nn.LSTM(
        num_features,
        config.hidden_size,
        num_layers=config.num_layers,
        batch_first=True,
        bidirectional=True,
    )


def count_parameters(model: nn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
