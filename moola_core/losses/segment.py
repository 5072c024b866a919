"""The likelihood of a label under a softmax over all spans of a window."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from moola_core.features.stretch import ends
from moola_core.losses.functional import TINY
from moola_core.spans.grid import places

NO_SHARE = 60.0  # nats below the greatest: to add e^-60 of it, often, changes no float64
POS_WEIGHT = 2.0  # of bars inside, in the cross-entropy bar by bar


def segment_loss(
    scores: Tensor,
    tags: Tensor,
    max_length: int,
    end_noise: tuple[float, ...],
    none: Tensor | None = None,
) -> Tensor:
    """``-log sum_s p(s) p(label | s)``: the run is hidden, the label its noisy copy.

    That there is none is no noisy copy of anything: of such windows ``-log p(none)``.

    Args:
        scores: ``(B, S)`` float, of the spans of `moola_core.spans.grid` up to `max_length`.
        tags: ``(B, T)``, 1 inside the label; all 0 where there is none.
        max_length: bars.
        end_noise: the probability that an end is off by 0, 1, ... bars to one side.
        none: ``(B,)`` float, the score of none; None: every window has a span.

    Returns:
        ``(B,)`` float, nats.
    """
    num_bars = tags.shape[1]
    start, stop = ends(tags)
    table = place_table(num_bars, max_length).to(scores.device)
    first, last, share = _errors(end_noise, scores.dtype, str(scores.device))
    # the shape is now (B, E), of the runs that may have been drawn so
    begin, end = start[:, None] + first, stop[:, None] + last
    is_inside = (begin >= 0) & (end <= num_bars) & (end >= begin)
    place = table[begin.clamp(0, num_bars), end.clamp(0, num_bars)]
    likelihood = share * (is_inside & (place >= 0))
    near = scores.gather(1, place.clamp_min(0)) + torch.log(likelihood + TINY)
    said = torch.logsumexp(near, dim=1)
    if none is None:
        return _log_total(scores) - said
    said = torch.where(stop > start, said, none)
    return _log_total(torch.cat([scores, none[:, None]], dim=1)) - said


def _log_total(scores: Tensor) -> Tensor:
    """Return ``logsumexp(scores, dim=1)``, and no slope to what has no share of it.

    MKL takes a hundred times as long for an exponential that is too small for a float32.
    """
    least = scores.detach().amax(dim=1, keepdim=True) - NO_SHARE
    return torch.logsumexp(scores.clamp(min=least), dim=1)


def bar_loss(inside: Tensor, tags: Tensor) -> Tensor:
    """Cross-entropy of bars' log-odds ``(B, T)`` to be inside: ``(B,)``, mean over bars."""
    weight = inside.new_tensor(POS_WEIGHT)
    each = F.binary_cross_entropy_with_logits(
        inside, tags.to(inside.dtype), pos_weight=weight, reduction="none"
    )
    return each.mean(dim=1)


@lru_cache(maxsize=8)
def place_table(num_bars: int, max_length: int) -> Tensor:
    """``(T + 1, T + 1)``: `moola_core.spans.grid.places` as a tensor."""
    return torch.from_numpy(places(num_bars, max_length).copy())


@lru_cache(maxsize=8)
def _errors(
    end_noise: tuple[float, ...], dtype: torch.dtype, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """``(E,)`` each: bars by which a start and a stop are off, and how probable both are."""
    reach = len(end_noise) - 1
    off = torch.arange(-reach, reach + 1)
    first, last = torch.meshgrid(off, off, indexing="ij")
    share = torch.tensor(end_noise, dtype=torch.float64)[off.abs()]
    both = torch.outer(share, share).flatten().to(dtype)
    return first.flatten().to(device), last.flatten().to(device), both.to(device)
