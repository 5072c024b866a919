"""The scores of all spans of a window from those of its bars, and their slopes.

Letters: B windows, T bars, L lengths, S spans of `moola_core.spans.grid`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from moola_core.spans.grid import MIN_LENGTH, places


def score_spans(start: Tensor, stop: Tensor, length: Tensor) -> Tensor:
    """``(B, S)``: ``start[a] + stop[b - 1] + length[b - a]`` of each span ``[a, b)``.

    Args:
        start: ``(B, T)``.
        stop: ``(B, T)``.
        length: ``(L + 1,)``, of 0 to L bars, the longest.
    """
    scores: Tensor = _ScoreSpans.apply(start, stop, length)  # type: ignore[no-untyped-call]
    return scores


def span_means(values: Tensor, spans: Tensor) -> Tensor:
    """``(B, M, D)``: the mean over each span's bars.

    Args:
        values: ``(B, T, D)``, of bars.
        spans: ``(B, M, 2)`` int64; 0 of an empty one.
    """
    before = F.pad(values.cumsum(dim=1), (0, 0, 1, 0))
    ends = before.gather(1, spans.flatten(1)[..., None].expand(-1, -1, before.shape[2]))
    ends = ends.view(*spans.shape, -1)
    bars = (spans[..., 1] - spans[..., 0]).clamp_min(1)[..., None]
    means: Tensor = (ends[:, :, 1] - ends[:, :, 0]) / bars
    return means


class _ScoreSpans(torch.autograd.Function):
    """Slopes by sums over a table of starts and lengths: a tenth of the time of scattering them."""

    @staticmethod
    def forward(ctx: Any, start: Tensor, stop: Tensor, length: Tensor) -> Tensor:
        first, last, bars, by_start, by_stop = _tables(
            start.shape[1], len(length) - 1, str(start.device)
        )
        ctx.save_for_backward(by_start, by_stop)
        scores = start.index_select(1, first)
        scores += stop.index_select(1, last)
        return scores.add_(length[bars])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        by_start, by_stop = ctx.saved_tensors
        # one more, 0, stands for spans that leave the window
        padded = F.pad(slopes[0], (0, 1))
        starts, stops = (_looked_up(padded, table) for table in (by_start, by_stop))
        by_length = starts.sum(dim=(0, 1))
        of_length = F.pad(by_length, (MIN_LENGTH, 0))
        return starts.sum(dim=2), stops.sum(dim=2), of_length


def _looked_up(values: Tensor, table: Tensor) -> Tensor:
    """``values[:, table]``, in a fifth of the time."""
    return values.index_select(1, table.flatten()).unflatten(1, table.shape)


@lru_cache(maxsize=8)
def _tables(num_bars: int, longest: int, device: str) -> tuple[Tensor, ...]:
    """First and last bar and bars of each span ``(S,)``; where spans stand, twice ``(T, L - 1)``.

    The tables are by their first and by their last bar, then by length from `MIN_LENGTH`; S for
    what is none.
    """
    place = places(num_bars, longest)
    start, stop = np.nonzero(place >= 0)
    number = len(start)
    lengths = np.arange(MIN_LENGTH, longest + 1)
    edge = np.arange(num_bars + 1)[:, None]
    known = np.where(place >= 0, place, number)
    ends, begins = edge + lengths, edge - lengths
    by_start = np.where(ends <= num_bars, known[edge, np.minimum(ends, num_bars)], number)[:-1]
    by_stop = np.where(begins >= 0, known[np.maximum(begins, 0), edge], number)[1:]
    arrays = (start, stop - 1, stop - start, by_start, by_stop)
    return tuple(torch.from_numpy(one).to(device) for one in arrays)
