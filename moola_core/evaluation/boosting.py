"""Gradient-boosted trees bar by bar: what a user would try instead. Letters: B windows, T bars.

Each bar is a row: its features, its place, and the fastest segments through it, which is what the
rules of `moola_core.evaluation.baselines` know. The trees say whether the bar is inside the span,
and the best single span is decoded from them, with a bias chosen on windows that the trees did not
see. Friedman (2001), Ann. Statist. 29, 1189-1232; here scikit-learn's histogram form.
"""

from __future__ import annotations

import numpy as np

from moola_core.config.sections import DecoderConfig
from moola_core.data.windows import Windows
from moola_core.decoding.decode import Decoded, Predictions, choose_decoder, decode, log_odds
from moola_core.evaluation.baselines import LOCAL_ATR_BARS, LOCAL_FEE, local_path, window_path
from moola_core.features.bars import window_features
from moola_core.spans.grid import all_spans
from moola_core.spans.intervals import BoolArray, FloatArray, span_mask

WINDOW_FEE = 0.5  # ATR a bar; the trees may weigh the length that they see, too
NUM_FOLDS = 5


def boosted_bars(train: Windows, bars: FloatArray) -> Decoded:
    """Spans of `bars` ``(B, T, 4)`` by trees that were grown on the base windows of `train`."""
    train = train.take(train.offset == 0)
    rows = _rows(train.bars)
    decoder = _choose_bias(train, rows)
    probs = _grow_and_ask(rows, span_mask(train.spans, train.bars.shape[1]), _rows(bars))
    return decode(_as_predictions(probs), decoder)


def _rows(bars: FloatArray) -> FloatArray:
    """``(B, T, 26)``: what the trees see of each bar."""
    num_windows, num_bars, _ = bars.shape
    bar = np.arange(num_bars)
    place = np.stack([bar, np.minimum(bar, num_bars - 1 - bar)], axis=1)
    columns = [
        window_features(bars),
        np.broadcast_to(place, (num_windows, num_bars, 2)),
        segments_through(local_path(bars, LOCAL_ATR_BARS), LOCAL_FEE),
        segments_through(window_path(bars), WINDOW_FEE),
    ]
    return np.concatenate(columns, axis=2)


def segments_through(path: FloatArray, fee: float) -> FloatArray:
    """``(B, T, 6)``: the fastest of all segments that hold each bar.

    Its gain (net move less `fee` a bar), the same over the window's greatest gain and short of it,
    its length, and the bars from its start and to its end.

    Args:
        path: ``(B, T + 1)``, the price at each edge between bars, in units of volatility.
        fee: units a bar.
    """
    num_windows, num_bars = path.shape[0], path.shape[1] - 1
    spans = all_spans(num_bars)
    start, stop = spans.T
    gain = np.abs(path[:, stop] - path[:, start]) - fee * (stop - start)
    best = np.empty((num_windows, num_bars), dtype=np.int64)
    for t in range(num_bars):
        holding = np.flatnonzero((start <= t) & (stop > t))
        best[:, t] = holding[gain[:, holding].argmax(axis=1)]
    top = gain.max(axis=1, keepdims=True)
    own = np.take_along_axis(gain, best, axis=1)
    bar = np.arange(num_bars)
    columns = [own, own / np.maximum(top, 1e-6), top - own]
    columns += [(stop - start)[best], bar - start[best], stop[best] - 1 - bar]
    return np.stack(columns, axis=2)


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
        max_iter=150,
        learning_rate=0.05,
        max_leaf_nodes=8,
        min_samples_leaf=40,
        l2_regularization=5.0,
        random_state=0,
    )
    trees.fit(rows.reshape(-1, rows.shape[2]), inside.ravel())
    probs: FloatArray = trees.predict_proba(asked.reshape(-1, asked.shape[2]))[:, 1]
    return probs.reshape(asked.shape[:2])


def _as_predictions(probs: FloatArray) -> Predictions:
    none = np.zeros_like(probs)
    return Predictions(log_odds(probs), none, none)
