"""The best span by sums and bounds against the table of each two spans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_core.decoding.expected import best_spans, gains
from moola_core.spans.grid import all_spans, iou_table, near_table
from moola_core.spans.intervals import FloatArray
from tests.support.cases import at_most

# from nearly certain to flat
SHARPNESS = st.sampled_from([0.005, 0.05, 1.0, 100.0])


@given(st.integers(2, 40), st.integers(2, 40), SHARPNESS, st.integers(0, 999))
@at_most(80)
def test_gains_are_those_of_brute_force(
    num_bars: int, longest: int, sharpness: float, seed: int
) -> None:
    longest = min(longest, num_bars)
    spans = all_spans(num_bars, longest)
    posterior = np.random.default_rng(seed).dirichlet(np.full(len(spans), sharpness), size=3)
    near = near_table(num_bars, longest)
    by_hand = posterior @ (iou_table(num_bars, longest) + near)
    np.testing.assert_allclose(gains(posterior, num_bars), by_hand, atol=1e-12)
    found, mass = best_spans(posterior, num_bars, 2, longest)
    place = {tuple(span): i for i, span in enumerate(spans.tolist())}
    rows = [place[tuple(span)] for span in found.tolist()]
    np.testing.assert_allclose(by_hand[np.arange(3), rows], by_hand.max(axis=1), atol=1e-11)
    np.testing.assert_allclose(mass, (posterior * near[rows]).sum(axis=1), atol=1e-12)


def _gains_start_by_start(posterior: FloatArray, num_bars: int, longest: int) -> FloatArray:
    """The table's product without the table, whose entries are nearly all 0 in a long window."""
    start, stop = all_spans(num_bars, longest).T
    found = np.empty_like(posterior)
    for first in range(num_bars - 1):
        mine, others = start == first, np.abs(start - first) < longest
        shared = np.minimum(stop[mine, None], stop[others]) - np.maximum(first, start[others])
        shared = np.maximum(shared, 0)
        length = (stop - start)[mine, None] + (stop - start)[others]
        iou = shared / (length - shared)
        found[:, mine] = posterior[:, others] @ (iou + (iou >= 0.5)).T
    return found


@pytest.mark.parametrize(("num_bars", "longest"), [(105, 25), (105, 60), (300, 40)])
def test_so_are_those_of_windows_as_they_are(num_bars: int, longest: int) -> None:
    spans = all_spans(num_bars, longest)
    rng = np.random.default_rng(0)
    # a label, and noise about it, as models say
    centre = spans[rng.integers(0, len(spans), 6)]
    off = np.abs(spans[None] - centre[:, None]).sum(axis=2)
    scores = np.exp(-off / 3) + 1e-4 * rng.random((6, len(spans)))
    posterior = scores / scores.sum(axis=1, keepdims=True)
    by_hand = _gains_start_by_start(posterior, num_bars, longest)
    np.testing.assert_allclose(gains(posterior, num_bars), by_hand, atol=1e-12)
    found, _ = best_spans(posterior, num_bars, 2, longest)
    assert found.tolist() == spans[by_hand.argmax(axis=1)].tolist()


def test_of_equal_ones_the_earliest_then_the_shortest_stays() -> None:
    spans = all_spans(60)
    posterior = np.zeros((1, len(spans)))
    place = {tuple(span): i for i, span in enumerate(spans.tolist())}
    posterior[0, [place[10, 14], place[40, 44]]] = 0.5
    assert best_spans(posterior, 60, 2, 25)[0].tolist() == [[10, 14]]


def test_only_lengths_that_are_asked_for_are_found(rng: np.random.Generator) -> None:
    posterior = rng.dirichlet(np.full(len(all_spans(40)), 0.01), size=50)
    spans, _ = best_spans(posterior, 40, 5, 9)
    length = spans[:, 1] - spans[:, 0]
    assert length.min() >= 5
    assert length.max() <= 9


def test_a_window_without_any_mass_has_some_answer() -> None:
    spans, mass = best_spans(np.zeros((1, len(all_spans(20)))), 20, 2, 25)
    assert spans.tolist() == [[0, 2]]
    assert mass.tolist() == [0.0]
