"""How often what is said with a probability comes true, by bins of probability.

Letters: B windows, N things said of a window.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from moola_core.spans.intervals import FloatArray

NUM_BINS = 10


def binned(what: str, probs: FloatArray, came_true: np.ndarray[Any, Any]) -> dict[str, FloatArray]:
    """``(B, bins)`` each: of what ``(B, N)`` was said with a probability in the bin.

    How much was said, the sum of its probabilities, and how much of it came true.
    """
    bins = np.minimum((probs * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    of_bin = bins[..., None] == np.arange(NUM_BINS)
    return {
        f"{what}_bin_said": of_bin.sum(axis=1),
        f"{what}_bin_probs": (probs[..., None] * of_bin).sum(axis=1),
        f"{what}_bin_true": (came_true[..., None] * of_bin).sum(axis=1),
    }


def reliability(sums: dict[str, Any], what: str) -> list[dict[str, float]]:
    """Of each bin of probability that occurs: how much was said, its mean, and what came true.

    Args:
        sums: over windows, of what `window_sums` gave for each.
        what: ``bar``, the probability of each bar to be inside; or ``confidence``, that of each
            answer to hit (IoU >= 0.5).

    Returns:
        A row a bin: ``low`` (its lower end), ``said`` (bars, or windows), ``mean`` and ``true``.
    """
    said, probs, true = (sums[f"{what}_bin_{name}"] for name in ("said", "probs", "true"))
    return [
        {
            "low": k / NUM_BINS,
            "said": float(said[k]),
            "mean": float(probs[k] / said[k]),
            "true": float(true[k] / said[k]),
        }
        for k in range(NUM_BINS)
        if said[k] > 0
    ]
