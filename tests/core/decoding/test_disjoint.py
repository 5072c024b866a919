"""Sets of spans of the greatest expected gain, against all sets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from moola_core.config.sections import DecoderConfig
from moola_core.decoding.decode import Predictions, decode
from moola_core.decoding.disjoint import FoundSets, best_sets, span_types
from moola_core.spans.grid import all_spans, iou_table
from moola_core.spans.segmentations import partition
from tests.support.cases import at_most
from tests.support.segmentations import every_set


@given(st.integers(3, 9), st.sampled_from([1.0, 4.0]), st.floats(0.3, 1.5), st.integers(0, 99))
@at_most(40)
def test_the_best_set_is_that_of_brute_force(
    num_bars: int, spread: float, least: float, seed: int
) -> None:
    spans, sets = all_spans(num_bars, num_bars), every_set(num_bars, num_bars)
    scores = np.random.default_rng(seed).normal(-1, spread, (3, len(spans)))
    posterior = partition(scores, num_bars)[1]
    iou = iou_table(num_bars, num_bars)
    near = iou > 0.5
    gain = posterior @ (iou + near) - least
    found = best_sets(posterior, num_bars, (2, num_bars), least)
    for row in range(3):
        chosen = [spans.tolist().index(one) for one in found.spans[found.window == row].tolist()]
        best = max(gain[row, list(one)].sum() for one in sets)
        np.testing.assert_allclose(gain[row, chosen].sum(), best, atol=1e-10)
        hits = np.minimum(posterior[row] @ near[:, chosen], 1)
        np.testing.assert_allclose(found.confidence[found.window == row], hits, atol=1e-12)


def test_lengths_and_floor_are_kept_to() -> None:
    num_bars = 30
    spans = all_spans(num_bars).tolist()
    posterior = np.zeros((1, len(spans)))
    posterior[0, [spans.index([2, 4]), spans.index([8, 16]), spans.index([20, 25])]] = 0.9, 0.8, 1.0
    found = best_sets(posterior, num_bars, (5, 25), 1.0)
    assert found.spans.tolist() == [[8, 16], [20, 25]]
    np.testing.assert_allclose(found.confidence, [0.8, 1.0])
    assert best_sets(posterior, num_bars, (5, 25), 1.0, 0.9).spans.tolist() == [[20, 25]]


def test_a_window_may_have_none_one_or_several() -> None:
    num_bars = 40
    spans = all_spans(num_bars).tolist()
    posterior = np.zeros((3, len(spans)))
    posterior[1, spans.index([5, 11])] = 0.97
    posterior[2, [spans.index([1, 9]), spans.index([9, 14]), spans.index([30, 38])]] = (
        0.9,
        0.8,
        0.95,
    )
    nothing = np.zeros((3, num_bars))
    bars = np.zeros((3, num_bars, 2))
    bars[2, 9:14, 1] = 3.0
    said = Predictions(nothing, nothing, nothing, span_posterior=posterior, type_bars=bars)
    decoded = decode(said, DecoderConfig(kind="disjoint"))
    assert decoded.sets is not None
    assert decoded.sets.window.tolist() == [1, 2, 2, 2]
    assert decoded.spans.tolist() == [[0, 0], [5, 11], [30, 38]]
    assert decoded.confidence.tolist() == [0.0, 0.97, 0.95]
    assert decoded.mask.sum(axis=1).tolist() == [0, 6, 21]
    padded = decoded.sets.padded(3)
    assert padded.tolist()[0] == [[0, 0]] * 3
    assert padded.tolist()[2] == [[1, 9], [9, 14], [30, 38]]
    assert decoded.set_types is not None
    assert decoded.set_types[2, 1] > 0.9
    np.testing.assert_allclose(decoded.set_types[[0, 1, 3]], 0.5)


def test_two_halves_are_not_worth_more_than_the_whole() -> None:
    spans = all_spans(30).tolist()
    posterior = np.zeros((1, len(spans)))
    posterior[0, spans.index([8, 16])] = 0.95
    assert best_sets(posterior, 30, (2, 25), 0.05).spans.tolist() == [[8, 16]]


def test_nothing_found_is_no_error() -> None:
    nothing = np.zeros((2, len(all_spans(20))))
    found = best_sets(nothing, 20, (2, 25), 1.0)
    assert len(found.spans) == 0
    assert found.padded(2).tolist() == [[[0, 0]], [[0, 0]]]
    assert found.surest(2)[0].tolist() == [[0, 0], [0, 0]]
    assert span_types(np.zeros((2, 20, 3)), found).shape == (0, 3)
    empty = FoundSets(np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros(0))
    assert empty.padded(0).shape == (0, 1, 2)
