"""A second look: a network that sees a crop around the first answer, which it is averaged with.

From coarse to fine, as Cai & Vasconcelos (2018), Cascade R-CNN.

Letters: B windows, T bars, S spans.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from moola_core.decoding.decode import Predictions, log_odds
from moola_core.features.bars import reflect
from moola_core.features.crops import cropped_views, first_bars
from moola_core.features.tensors import Inputs
from moola_core.inference.forward import evaluating, folded, forward_outputs
from moola_core.model.make import Model
from moola_core.model.span_net import SpanNet
from moola_core.spans.grid import all_spans, blurred, coverage, first_places, longest_of
from moola_core.spans.intervals import FloatArray, IntArray
from moola_core.spans.kernels import average_crops


def refined(first: Predictions, bars: FloatArray, model: Model, size: int) -> Predictions:
    """Return the mean of `first` and of what `model` says of a crop around its likeliest span.

    Args:
        first: of bars ``(B, T, 4)``; its table of spans is taken over, to spare the cache another.
        bars: the same.
        model: sees `size` bars, and no span that is longer than those of `first`.
        size: bars of a crop.
    """
    posterior = first.span_posterior
    if posterior is None or not isinstance(model, SpanNet):
        raise TypeError("expected the probability of every span, and a network over all spans")
    num_bars = bars.shape[1]
    longest = longest_of(posterior.shape[1], num_bars)
    likeliest = all_spans(num_bars, longest)[posterior.argmax(axis=1)]
    begin = first_bars(likeliest.sum(axis=1) // 2, size, num_bars)
    second, said_types = _asked(model, bars, begin, size)
    of_crop = first_places(size, longest_of(second.shape[1], size))
    average_crops(posterior, second, begin, (first_places(num_bars, longest), of_crop))
    types = first.type_probs
    if types is not None and said_types is not None:
        types = (types + said_types) / 2
    logits = log_odds(coverage(posterior, num_bars))
    return replace(first, type_probs=types, span_logits=logits)


@torch.no_grad()
def _asked(
    model: SpanNet, bars: FloatArray, begin: IntArray, size: int
) -> tuple[FloatArray, FloatArray | None]:
    """Return what `model` says of the crops' spans, as labels, and of types.

    As `predict`, but for what only a whole window's answer needs: a third of its time.
    """
    evaluating(model)
    device = next(model.parameters()).device
    views = cropped_views(bars, begin, size).to(device)
    mirrored = cropped_views(reflect(bars), begin, size).to(device) if model.symmetric else None
    outputs = forward_outputs(model, Inputs(views, mirrored), folded(model))
    runs = torch.softmax(outputs["segment_logits"], dim=1).cpu().numpy()
    types = None
    if "type_logits" in outputs:
        types = torch.softmax(outputs["type_logits"], dim=1).cpu().numpy().astype(np.float64)
    return blurred(runs, size, model.end_noise), types
