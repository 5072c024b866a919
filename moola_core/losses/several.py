"""The likelihood of the labels of a window under a distribution over all sets of disjoint spans.

Letters: B windows, T bars, M labels a window, S spans of `moola_core.spans.grid`, E errors of an
end (0, 1, 2 bars to either side).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from moola_core.losses.functional import TINY
from moola_core.losses.segment import place_table
from moola_core.model.span_scores import span_means
from moola_core.spans.segmentations import partition

NEVER = -1e30  # a logarithm of 0 that has a gradient of 0


class LogPartition(torch.autograd.Function):
    """``(B,)`` from the scores of spans ``(B, S)``: see `moola_core.spans.segmentations`."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, num_bars: int) -> Tensor:
        """Sum over all sets; each span's probability is kept, as it is the gradient."""
        total, probs = partition(scores.detach().cpu().numpy(), num_bars)
        ctx.save_for_backward(torch.from_numpy(probs).to(scores))
        return torch.from_numpy(total).to(scores)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        """Pass the slope of each window ``(B,)`` on to its spans."""
        (probs,) = ctx.saved_tensors
        return slopes[0][:, None] * probs, None


def log_partition(scores: Tensor, num_bars: int) -> Tensor:
    """``(B,)``: log of the sum over all sets of disjoint spans of exp(sum of their scores)."""
    total: Tensor = LogPartition.apply(scores, num_bars)  # type: ignore[no-untyped-call]
    return total


def several_loss(
    scores: Tensor, spans: Tensor, num_bars: int, max_length: int, end_noise: tuple[float, ...]
) -> Tensor:
    """``-log sum_r p(r) p(labels | r)``: the runs r are hidden, each label the noisy copy of one.

    Args:
        scores: ``(B, S)`` float, of the spans of `moola_core.spans.grid` up to `max_length`.
        spans: ``(B, M, 2)`` int64, the labels by their start, disjoint; ``[0, 0)`` after the last.
        num_bars: T.
        max_length: bars.
        end_noise: the probability that an end is off by 0, 1, ... bars to one side.

    Returns:
        ``(B,)`` float, nats.
    """
    runs, stops = _near(scores, spans, num_bars, max_length, end_noise)
    num_labels = (spans[:, :, 1] > spans[:, :, 0]).sum(dim=1)
    # the shape is now (B, E): so far, by where the last run stops
    said = torch.full_like(runs[:, 0, 0], NEVER)
    said[:, 0] = 0.0
    before = torch.zeros_like(stops[:, 0])
    for label in range(spans.shape[1]):
        begins = stops[:, label] - spans[:, label, 1:] + spans[:, label, :1]
        # the shape is now (B, E before, E of the start), whether the runs share no bar
        fits = before[:, :, None] <= begins[:, None, :]
        come = torch.where(fits, said[:, :, None], said.new_tensor(NEVER))
        come = torch.logsumexp(come, dim=1)
        further = torch.logsumexp(come[:, :, None] + runs[:, label], dim=1)
        is_there = (label < num_labels)[:, None]
        said = torch.where(is_there, further, said)
        before = torch.where(is_there, stops[:, label], before)
    return log_partition(scores, num_bars) - torch.logsumexp(said, dim=1)


def _near(
    scores: Tensor, spans: Tensor, num_bars: int, max_length: int, end_noise: tuple[float, ...]
) -> tuple[Tensor, Tensor]:
    """Scores of the runs that each label may be a copy of, noise included, and their stops.

    Returns:
        ``(B, M, E, E)``, by the error of the start, then of the stop; ``(B, M, E)``.
    """
    reach = len(end_noise) - 1
    errors = torch.arange(-reach, reach + 1, device=scores.device)
    starts, stops = spans[..., :1] + errors, spans[..., 1:] + errors
    begin, end = starts[..., :, None], stops[..., None, :]
    is_inside = (begin >= 0) & (end <= num_bars) & (end >= begin)
    table = place_table(num_bars, max_length).to(scores.device)
    place = table[begin.clamp(0, num_bars), end.clamp(0, num_bars)]
    noise = torch.tensor(end_noise, dtype=scores.dtype, device=scores.device)[errors.abs()]
    share = noise[:, None] * noise * (is_inside & (place >= 0))
    known = scores.gather(1, place.clamp_min(0).flatten(1)).view(place.shape)
    return known + torch.log(share + TINY), stops


def span_type_loss(type_bars: Tensor, spans: Tensor, types: Tensor) -> Tensor:
    """Cross-entropy of the types of a window's labels: ``(B,)``, mean over them; 0 of none.

    Args:
        type_bars: ``(B, T, K)``; a span's scores are their mean over its bars.
        spans: ``(B, M, 2)`` int64, ``[0, 0)`` after the last.
        types: ``(B, M)`` int64, -1 after the last.
    """
    scores = span_means(type_bars, spans)
    each = F.cross_entropy(
        scores.flatten(0, 1), types.flatten(), reduction="none", ignore_index=-1
    ).view(types.shape)
    return each.sum(dim=1) / (types >= 0).sum(dim=1).clamp_min(1)
