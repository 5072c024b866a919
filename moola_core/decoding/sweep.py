"""Which decoder, and with which constants: every one tried on validation windows.

Choose here, judge elsewhere: of some thousand decoders the best looks better than it is. Letters: B
windows, T bars.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from moola_core.config.sections import DecoderConfig
from moola_core.decoding.decode import Decoded, Predictions, decode
from moola_core.spans.intervals import IntArray, span_iou, span_mask

SEED_THRESHOLDS = tuple(k / 10 for k in range(1, 10))
THRESHOLDS = tuple(k / 100 for k in range(1, 100))
MAX_GAPS = (0, 1, 2, 3)
MIN_BARS = (1, 2, 3, 4, 5)
BIASES = tuple(k / 4 for k in range(-32, 33))


@dataclass(frozen=True)
class Tried:
    """One decoder on the validation windows: bar F1, precision, recall; share of IoU >= 0.5."""

    decoder: DecoderConfig
    f1: float
    precision: float
    recall: float
    iou50: float


def sweep(
    predictions: Predictions, spans: IntArray, decoders: Iterable[DecoderConfig]
) -> list[Tried]:
    """Try each decoder on windows with true spans ``(B, 2)``."""
    return [tried(decoder, decode(predictions, decoder), spans) for decoder in decoders]


def tried(decoder: DecoderConfig, decoded: Decoded, spans: IntArray) -> Tried:
    """Return how good it is what `decoder` made of windows with true spans ``(B, 2)``."""
    truth = span_mask(spans, decoded.mask.shape[1])
    hits, said = int((decoded.mask & truth).sum()), int(decoded.mask.sum())
    return Tried(
        decoder,
        f1=2 * hits / max(said + int(truth.sum()), 1),
        precision=hits / max(said, 1),
        recall=hits / max(int(truth.sum()), 1),
        iou50=float((span_iou(decoded.spans, spans) >= 0.5).mean()),
    )


def thresholds(
    values: Iterable[float], *, max_gap: int = 0, min_bars: int = 1
) -> list[DecoderConfig]:
    """Threshold decoders, one a value."""
    return [
        DecoderConfig(kind="threshold", threshold=value, max_gap=max_gap, min_bars=min_bars)
        for value in values
    ]


def biases(own: DecoderConfig) -> list[DecoderConfig]:
    """Best-span decoders, one a bias, with the lengths and the floor of `own`."""
    base = own.model_copy(update={"kind": "best_span", "choose": False})
    return [base.model_copy(update={"bias": value}) for value in BIASES]


def families(own: DecoderConfig) -> dict[str, list[DecoderConfig]]:
    """Return the decoders to choose from, the plain ones first; `own` is the run's."""
    pairs = [(gap, bars) for gap in MAX_GAPS for bars in MIN_BARS if (gap, bars) != (0, 1)]
    return {
        "the run's own": [own],
        "threshold": thresholds(THRESHOLDS),
        "threshold, gaps and runs": [
            decoder
            for max_gap, min_bars in pairs
            for decoder in thresholds(THRESHOLDS, max_gap=max_gap, min_bars=min_bars)
        ],
        "best_span": biases(own),
    }


def best_of(tried: list[Tried]) -> Tried:
    """Return the highest F1; of equal ones the first gap and length, then the middle constant."""
    f1 = max(one.f1 for one in tried)
    best = [one for one in tried if one.f1 == f1]
    first = best[0].decoder
    alike = [
        one
        for one in best
        if (one.decoder.max_gap, one.decoder.min_bars) == (first.max_gap, first.min_bars)
    ]
    return alike[len(alike) // 2]
