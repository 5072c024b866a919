"""The head of types, fitted once more when everything below it is trained.

Spans lead the training, and a few hundred steps of it teach types little: from 50 or 100 windows a
network knew the commonest type alone. What it sees of them is there, though, and a logistic
regression on it, which is convex, finds it in little more than a pass over the windows.

Letters: N spans of training windows, C channels, K types.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from moola_core.config.sections import Recipe
from moola_core.features.crops import centred
from moola_core.features.tensors import WindowTensors
from moola_core.inference.forward import EVALUATION_BATCH, evaluating
from moola_core.model.make import Model
from moola_core.model.span_net import SpanNet
from moola_core.model.span_scores import span_means
from moola_core.training.optimizers import LBFGS

STEPS, MEMORY = 200, 20  # of L-BFGS at most


@torch.no_grad()
def fit_type_head(model: Model, windows: WindowTensors, recipe: Recipe) -> None:
    """Fit the head that says types to training windows, where ``training.type_ridge`` asks for it.

    It begins at 0 and draws no random number, so that to do it twice changes nothing.

    Args:
        model: trained; set to evaluation.
        windows: those that it was trained on.
        recipe: of the model.
    """
    ridge, refine = recipe.training.type_ridge, recipe.ensemble.refine
    if ridge is None or not isinstance(model, SpanNet) or "type" not in recipe.model.tasks:
        return
    if windows.bars is not None and refine is not None and refine.crop is not None:
        windows = centred(windows, refine.crop)
    evaluating(model)
    rows = torch.arange(len(windows), device=windows.features.device).split(EVALUATION_BATCH)
    parts = [_examples(model, windows.take(some)) for some in rows]
    seen, types, weight = (torch.cat(part) for part in zip(*parts, strict=True))
    is_known = types >= 0
    if not is_known.any():
        return
    slopes, shift = logistic_regression(
        seen[is_known].double(),
        types[is_known],
        weight[is_known],
        recipe.model.num_types,
        ridge,
    )
    model.type_head.weight.copy_(slopes)
    model.type_head.bias.copy_(shift)


def logistic_regression(
    seen: Tensor, types: Tensor, weight: Tensor, num_types: int, ridge: float
) -> tuple[Tensor, Tensor]:
    """Return the slopes ``(K, D)`` and shifts ``(K,)`` of a multinomial logistic regression.

    Args:
        seen: ``(N, D)``; each column is standardised for the fit.
        types: ``(N,)`` int64, below `num_types`.
        weight: ``(N,)``.
        num_types: K.
        ridge: half of it times the squares of the slopes on standardised columns is added to the
            sum of cross-entropies in nats: 1 / C of scikit-learn's LogisticRegression.
    """
    mean, scale = seen.mean(dim=0), seen.std(dim=0, unbiased=False)
    scale = scale.masked_fill(scale == 0, 1.0)
    standard = (seen - mean) / scale
    slopes = seen.new_zeros(num_types, seen.shape[1]).requires_grad_()
    shift = seen.new_zeros(num_types).requires_grad_()
    optimizer = LBFGS(
        [slopes, shift], max_iter=STEPS, history_size=MEMORY, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        with torch.enable_grad():
            each = F.cross_entropy(standard @ slopes.T + shift, types, reduction="none")
            loss = ((each * weight).sum() + ridge / 2 * slopes.square().sum()) / len(types)
            loss.backward()
        return loss

    optimizer.step(closure)
    of_seen = slopes.detach() / scale
    return of_seen, shift.detach() - of_seen @ mean


def _examples(model: SpanNet, windows: WindowTensors) -> tuple[Tensor, Tensor, Tensor]:
    """Return what the head sees of each span ``(N, 2C)``, its type and its weight ``(N,)``."""
    outputs = model(windows.features)
    states = outputs["states"]
    if windows.sets is None or windows.set_types is None:
        seen = model.seen_of_types(states.transpose(1, 2), outputs["span_logits"])
        return seen, windows.types, windows.weight
    inside = span_means(states, windows.sets)
    window = states.mean(dim=1, keepdim=True).expand_as(inside)
    weight = windows.weight[:, None].expand_as(windows.set_types)
    seen = torch.cat([inside, window], dim=2)
    return seen.flatten(0, 1), windows.set_types.flatten(), weight.flatten()
