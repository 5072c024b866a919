"""A small U-Net that gives every span of a window its probability.

The scores of spans: a segment of a semi-Markov model (Sarawagi & Cohen 2004), one a window.

Letters: B windows, T bars, F features a bar, C channels, S spans of `moola_core.spans.grid`.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from moola_core.config.sections import ModelConfig
from moola_core.features.candidates import Candidates
from moola_core.model.heads import Outputs
from moola_core.model.quick_unet import quick_states
from moola_core.model.span_scores import score_spans
from moola_core.model.unet import UNet
from moola_core.spans.grid import MAX_LENGTH, all_spans


class SpanNet(nn.Module):
    """Scores of all spans: what bars say inside, at the start and at the stop, and the length.

    The score of ``[a, b)`` is the sum of the inside scores over it, the start score at a, the stop
    score at b - 1 and a prior of its length: a log-normal of the training labels (`fit_lengths`)
    with a twentieth spread over all, corrected by two learnt weights. With `ModelConfig.no_span`
    that there is none is one more outcome, scored by the strongest and the mean state.

    Args:
        num_features: F.
        config: width, longest span, types and tasks.
    """

    standardise: None
    crf: None
    length_prior: Tensor
    length_z: Tensor

    def __init__(self, num_features: int, config: ModelConfig) -> None:
        super().__init__()
        self.symmetric, self.end_noise = config.symmetric, config.end_noise
        self.standardise = self.crf = None
        self.max_length = config.max_length or MAX_LENGTH
        self.span_heads = nn.ModuleDict()
        self.net = UNet(num_features, config.width)
        self.bar_scores = nn.Conv1d(config.width, 3, 1)
        self.log_gain = nn.Parameter(torch.zeros(3))
        self.length_weight = nn.Parameter(torch.zeros(2))
        self.type_head = nn.Linear(2 * config.width, config.num_types)
        self.register_buffer("length_prior", torch.zeros(self.max_length + 1))
        self.register_buffer("length_z", torch.zeros(self.max_length + 1))
        self.log_sigma = nn.Parameter(torch.zeros(len(config.tasks)))
        # last, so that the weights of all else are drawn as without it
        self.none_head = nn.Linear(2 * config.width, 1) if config.no_span else None

    def fit_lengths(self, lengths: Tensor) -> None:
        """Take the prior from training labels' lengths ``(B,)`` in bars."""
        logs = torch.log(lengths.double().clamp_min(1))
        mean, deviation = logs.mean(), logs.std(unbiased=False) + 0.05
        log_length = torch.log(torch.arange(self.max_length + 1).double().clamp_min(1)).to(mean)
        z = (log_length - mean) / deviation
        known = -0.5 * z**2 - torch.log(deviation) - log_length + torch.log(torch.tensor(0.95))
        spread = torch.full_like(known, 0.05 / self.max_length).log()
        self.length_prior.copy_(torch.logaddexp(known, spread))
        self.length_z.copy_(z)

    def forward(self, features: Tensor, candidates: Candidates | None = None) -> Outputs:
        """Scores from features ``(B, T, F)``.

        Returns:
            ``segment_logits (B, S)``, ``span_logits (B, T)``, ``type_logits (B, K)`` and ``states
            (B, T, C)``; with `no_span` also ``none_logits (B,)``.
        """
        del candidates
        return self.outputs_of(quick_states(self.net, features.transpose(1, 2)))

    def outputs_of(self, states: Tensor) -> Outputs:
        """Return the same from the states of bars ``(B, C, T)``."""
        kept = states.transpose(1, 2)
        # Everything below comes from what is kept, so that its gradient shows each task's pull.
        states = kept.transpose(1, 2)
        scores = self.bar_scores(states) * torch.exp(self.log_gain)[:, None]
        inside = scores[:, 0]
        prior = self.length_prior + self.length_weight[0] * self.length_z
        prior = prior + self.length_weight[1] * self.length_z**2
        outputs = {
            "states": kept,
            "span_logits": inside,
            "type_logits": self.type_head(self.seen_of_types(states, inside)),
            "segment_logits": self.span_scores(scores, prior),
        }
        if self.none_head is not None:
            seen = torch.cat([states.amax(dim=2), states.mean(dim=2)], dim=1)
            outputs["none_logits"] = self.none_head(seen)[:, 0]
        return outputs

    def seen_of_types(self, states: Tensor, inside: Tensor) -> Tensor:
        """``(B, 2C)``, of which the head says the type: what is inside, and the whole window.

        Args:
            states: ``(B, C, T)``.
            inside: ``(B, T)``, the inside scores.
        """
        share = torch.softmax(inside.detach(), dim=1)[:, None]
        return torch.cat([(states * share).sum(dim=2), states.mean(dim=2)], dim=1)

    def span_scores(self, scores: Tensor, prior: Tensor | None = None) -> Tensor:
        """``(B, S)`` from the scores of bars ``(B, 3, T)``: inside, start, stop.

        Args:
            scores: of bars.
            prior: ``(L + 1,)``, of each length; None: 0.
        """
        inside, start, stop = scores.unbind(dim=1)
        total = inside.cumsum(dim=1)
        if prior is None:
            prior = scores.new_zeros(self.max_length + 1)
        return score_spans(start - (total - inside), stop + total, prior)

    def grid(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """First bar, last bar and bars of each span, ``(S,)``, of windows ``(..., T)``."""
        return _grid(scores.shape[-1], self.max_length, str(scores.device))

    def span_logits(self, outputs: Outputs) -> Tensor:
        """``(B, T)``: log-odds of each bar to be inside."""
        return outputs["span_logits"]

    def column_parameters(self) -> list[nn.Parameter]:
        """None: it looks at no candidates."""
        return []


@lru_cache(maxsize=8)
def _grid(num_bars: int, max_length: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    spans = torch.from_numpy(all_spans(num_bars, max_length).copy()).to(device)
    return spans[:, 0], spans[:, 1] - 1, spans[:, 1] - spans[:, 0]
