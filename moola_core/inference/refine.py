"""A second look: a network that sees a crop around the first answer, which it is averaged with.

From coarse to fine, as Cai & Vasconcelos (2018), Cascade R-CNN.

Letters: B windows, T bars, S spans.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from moola_core.decoding.decode import Predictions, log_odds
from moola_core.features.crops import cropped_views, first_bars
from moola_core.features.tensors import Inputs
from moola_core.inference.forward import predict
from moola_core.model.make import Model
from moola_core.spans.grid import all_spans, coverage, longest_of, places
from moola_core.spans.intervals import FloatArray


def refined(first: Predictions, bars: FloatArray, model: Model, size: int) -> Predictions:
    """Return the mean of `first` and of what `model` says of a crop around its likeliest span.

    Args:
        first: of bars ``(B, T, 4)``.
        bars: the same.
        model: sees `size` bars, and no span that is longer than those of `first`.
        size: bars of a crop.
    """
    posterior = first.span_posterior
    if posterior is None:
        raise ValueError("expected the probability of every span")
    num_bars = bars.shape[1]
    longest = longest_of(posterior.shape[1], num_bars)
    likeliest = all_spans(num_bars, longest)[posterior.argmax(axis=1)]
    begin = first_bars(likeliest.sum(axis=1) // 2, size, num_bars)
    device = next(model.parameters()).device
    second = predict(model, Inputs(cropped_views(bars, begin, size).to(device)))
    assert second.span_posterior is not None
    spans = all_spans(size, longest_of(second.span_posterior.shape[1], size))
    # the shape is now (B, S of the crop): where they stand among those of the window
    place = places(num_bars, longest)[begin[:, None] + spans[:, 0], begin[:, None] + spans[:, 1]]
    both = posterior / 2
    both[np.arange(len(both))[:, None], place] += second.span_posterior / 2
    types = first.type_probs
    if types is not None and second.type_probs is not None:
        types = (types + second.type_probs) / 2
    logits = log_odds(coverage(both, num_bars))
    return replace(first, span_posterior=both, type_probs=types, span_logits=logits)
