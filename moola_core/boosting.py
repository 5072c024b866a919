"""Gradient-boosted trees bar by bar: what a user would try instead. Letters: B windows, T bars.

Each bar is a row: its features and those of the bars around it; the trees say whether it is inside
the span, and the best single span is decoded from them, with a bias chosen on windows that the
trees did not see. Friedman (2001), Ann. Statist. 29, 1189-1232; here scikit-learn's histogram form.
"""

from __future__ import annotations

import numpy as np

from moola_core.config import DecoderConfig
from moola_core.decoding import Decoded, Predictions, choose_decoder, decode, log_odds
from moola_core.features import window_features
from moola_core.spans import BoolArray, FloatArray, span_mask
from moola_core.windows import Windows

CONTEXT_BARS = 7
NUM_FOLDS = 5


def boosted_bars(train: Windows, bars: FloatArray) -> Decoded:
    """Spans of `bars` ``(B, T, 4)`` by trees that were grown on `train`."""
    rows = _rows(train.bars)
    decoder = _choose_bias(train, rows)
    probs = _grow_and_ask(rows, span_mask(train.spans, train.bars.shape[1]), _rows(bars))
    return decode(_as_predictions(probs), decoder)


def _rows(bars: FloatArray) -> FloatArray:
    """``(B, T, columns)``: the features of each bar and of those around it, 0 outside."""
    features = window_features(bars, position=True)
    num_bars = features.shape[1]
    padded = np.pad(features, ((0, 0), (CONTEXT_BARS, CONTEXT_BARS), (0, 0)))
    shifted = [padded[:, k : k + num_bars] for k in range(2 * CONTEXT_BARS + 1)]
    return np.concatenate(shifted, axis=2)


def _choose_bias(train: Windows, rows: FloatArray) -> DecoderConfig:
    from sklearn.model_selection import GroupKFold

    inside = span_mask(train.spans, train.bars.shape[1])
    probs = np.zeros(inside.shape)
    for grown, asked in GroupKFold(NUM_FOLDS).split(rows, groups=train.group):
        probs[asked] = _grow_and_ask(rows[grown], inside[grown], rows[asked])
    decoder = DecoderConfig(kind="best_span", choose=True)
    return choose_decoder(_as_predictions(probs), train.spans, decoder)


def _grow_and_ask(rows: FloatArray, inside: BoolArray, asked: FloatArray) -> FloatArray:
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.05, max_leaf_nodes=15, random_state=0
    )
    trees.fit(rows.reshape(-1, rows.shape[2]), inside.ravel())
    probs: FloatArray = trees.predict_proba(asked.reshape(-1, asked.shape[2]))[:, 1]
    return probs.reshape(asked.shape[:2])


def _as_predictions(probs: FloatArray) -> Predictions:
    none = np.zeros_like(probs)
    return Predictions(log_odds(probs), none, none)
