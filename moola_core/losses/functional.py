"""Losses of JadeCompact, one function each. Letters: B windows, T bars, K types.

Each returns one number a window, ``(B,)``; `moola_core.losses.criterion` weighs windows and tasks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TINY = 1e-30  # a probability that is none, still above 0 in float32


def soft_span_loss(logits: Tensor, target: Tensor, *, pos_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy of span logits against soft span targets.

    Soft edges after Zhu & Beroza (2019), Geophys. J. Int. 216, 261-273; theirs are Gaussian about
    one pick.

    Args:
        logits: ``(B, T)`` float, one raw score a bar.
        target: ``(B, T)`` float in [0, 1]: 1 inside the span, lower towards its edges.
        pos_weight: the factor on the target's share of each bar.

    Returns:
        ``(B,)`` float, nats a bar.

    Raises:
        ValueError: the shapes differ.
    """
    _require_same_shape("logits and target", logits, target)
    weight = torch.as_tensor(pos_weight, dtype=logits.dtype, device=logits.device)
    return F.binary_cross_entropy_with_logits(
        logits, target, pos_weight=weight, reduction="none"
    ).mean(dim=1)


def probability_span_loss(logits: Tensor, target: Tensor, *, pos_weight: float = 1.0) -> Tensor:
    """Return the seed's `soft_span_loss`: through probabilities, which saturate.

    Shapes, units and errors are those of `soft_span_loss`.
    """
    _require_same_shape("logits and target", logits, target)
    loss = F.binary_cross_entropy(torch.sigmoid(logits), target, reduction="none")
    return (loss * (1.0 + (pos_weight - 1.0) * target)).mean(dim=1)


def type_loss(logits: Tensor, types: Tensor) -> Tensor:
    """Cross-entropy of type logits ``(B, K)`` against types ``(B,)`` int64: ``(B,)`` nats.

    A window without a span has type -1 and costs nothing.
    """
    return F.cross_entropy(logits, types, ignore_index=-1, reduction="none")


def pointer_loss(pointer: Tensor, target: Tensor, *, delta: float = 0.08) -> Tensor:
    """Huber loss of centre and length ``(B, 2)``, both over T: ``(B,)``.

    Huber (1964), Ann. Math. Stat. 35, 73-101: quadratic below `delta`, linear above.
    """
    _require_same_shape("pointer and target", pointer, target)
    return F.huber_loss(pointer, target, reduction="none", delta=delta).mean(dim=1)


def countdown_loss(countdown: Tensor, target: Tensor, *, delta: float = 1.0) -> Tensor:
    """Huber loss of the scaled bars to the start, ``(B, T)``: ``(B,)``."""
    _require_same_shape("countdown and target", countdown, target)
    return F.huber_loss(countdown, target, reduction="none", delta=delta).mean(dim=1)


def edges_loss(
    start_logits: Tensor, stop_logits: Tensor, start_row: Tensor, stop_row: Tensor
) -> Tensor:
    """Cross-entropy of the start's and the stop's distribution over bars: ``(B,)``, mean nats.

    All four ``(B, T)``; the rows sum to 1. Pointer heads over positions after Vinyals, Fortunato &
    Jaitly (2015), Pointer Networks; theirs point with attention, here each bar has its score.
    """
    _require_same_shape("start logits and row", start_logits, start_row)
    _require_same_shape("stop logits and row", stop_logits, stop_row)
    start = F.cross_entropy(start_logits, start_row, reduction="none")
    stop = F.cross_entropy(stop_logits, stop_row, reduction="none")
    return (start + stop) / 2


def choice_loss(logits: Tensor, likelihood: Tensor, *, soft_share: float = 0.0) -> Tensor:
    """Cross-entropy of the choice of a span against a label whose ends may be off by some bars.

    Two readings, of which the second has the share `soft_share`. The run is hidden and the label
    its noisy copy: ``-log sum_k p_k likelihood_k``. Or the label is spread over its neighbours:
    ``-sum_k q_k log p_k``, q the likelihood scaled to sum 1. The first lets the model choose among
    the neighbours; the second asks for all of them at once. A window whose label no candidate
    explains pulls nowhere.

    Args:
        logits: ``(B, K)`` float, one score a candidate.
        likelihood: ``(B, K)`` in [0, 1]: the probability of the label if the candidate is the run.
        soft_share: in [0, 1].

    Returns:
        ``(B,)`` float, nats.

    Raises:
        ValueError: the shapes differ.
    """
    _require_same_shape("logits and likelihood", logits, likelihood)
    logp = torch.log_softmax(logits, dim=1)
    hidden = -torch.logsumexp(logp + torch.log(likelihood + TINY), dim=1)
    target = likelihood / likelihood.sum(dim=1, keepdim=True).clamp_min(TINY)
    soft = -(target * logp).sum(dim=1)
    return (1.0 - soft_share) * hidden + soft_share * soft


def context_type_loss(logits: Tensor, likelihood: Tensor, types: Tensor) -> Tensor:
    """Cross-entropy of the type at each candidate, mean over those that explain the label.

    Args:
        logits: ``(B, K, C)`` float.
        likelihood: ``(B, K)``, as in `choice_loss`.
        types: ``(B,)`` int64; -1 where it is not known.

    Returns:
        ``(B,)`` float, nats; 0 where the type is not known.
    """
    target = likelihood / likelihood.sum(dim=1, keepdim=True).clamp_min(TINY)
    true = types[:, None].expand(likelihood.shape)
    each = F.cross_entropy(logits.transpose(1, 2), true, ignore_index=-1, reduction="none")
    return (target * each).sum(dim=1)


def _require_same_shape(names: str, first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"expected {names} of one shape, got {shapes}")
