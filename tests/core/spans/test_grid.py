"""The grid of spans against plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from moola_core.spans.grid import (
    all_spans,
    blurred,
    coverage,
    iou_table,
    label_posterior,
    longest_of,
    near_table,
    noise_table,
    span_index,
    sparse_noise,
    widened,
)
from moola_core.spans.intervals import FloatArray, span_iou
from moola_core.spans.kernels import spread

NOISE = (0.4, 0.25, 0.05)
NUM_BARS = 30


@pytest.mark.parametrize("num_bars", [2, 10, 105])
def test_the_grid_holds_each_span_of_2_to_25_bars_once(num_bars: int) -> None:
    expected = [[a, b] for a in range(num_bars) for b in range(a + 2, min(a + 25, num_bars) + 1)]
    assert all_spans(num_bars).tolist() == expected


def test_a_window_of_105_bars_has_2220_spans() -> None:
    assert len(all_spans(105)) == 2220


def test_each_span_is_found_at_its_place() -> None:
    assert (span_index(all_spans(105), 105) == np.arange(2220)).all()


@pytest.mark.parametrize(
    ("span", "nearest"),
    [([10, 60], [10, 35]), ([10, 11], [10, 12]), ([104, 105], [103, 105]), ([0, 1], [0, 2])],
)
def test_what_is_not_in_the_grid_stands_for_its_nearest(
    span: list[int], nearest: list[int]
) -> None:
    assert all_spans(105)[span_index(np.array(span), 105)].tolist() == nearest


def test_overlaps_are_those_of_each_pair(rng: np.random.Generator) -> None:
    spans = all_spans(105)
    first, second = rng.integers(0, len(spans), (2, 500))
    expected = span_iou(spans[first], spans[second])
    np.testing.assert_allclose(iou_table(105)[first, second], expected)
    assert (near_table(105)[first, second] == (expected >= 0.5)).all()


def _label_probs(span: tuple[int, int], num_bars: int) -> dict[tuple[int, int], float]:
    """By the story: both ends err, at the window's edges they stop, non-spans are left out."""
    probs: dict[tuple[int, int], float] = {}
    for i, j in itertools.product(range(-2, 3), repeat=2):
        a, b = max(span[0] + i, 0), min(span[1] + j, num_bars)
        if 2 <= b - a <= 25:
            probs[a, b] = probs.get((a, b), 0.0) + NOISE[abs(i)] * NOISE[abs(j)]
    total = sum(probs.values())
    return {one: p / total for one, p in probs.items()}


def test_label_noise_is_that_of_two_ends_that_err_alone() -> None:
    spans = [tuple(span) for span in all_spans(NUM_BARS).tolist()]
    table = noise_table(NUM_BARS, NOISE)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    for row, span in enumerate(spans):
        probs = _label_probs(span, NUM_BARS)
        expected = [probs.get(one, 0.0) for one in spans]
        np.testing.assert_allclose(table[row], expected, atol=1e-12)


def test_without_noise_the_label_is_the_span() -> None:
    assert (noise_table(NUM_BARS, (1.0,)) == np.eye(len(all_spans(NUM_BARS)))).all()


def test_the_posterior_spreads_each_candidate_over_its_labels(rng: np.random.Generator) -> None:
    grid = all_spans(NUM_BARS)
    chosen = np.array([rng.choice(len(grid), 9, replace=False) for _ in range(3)])
    probs: FloatArray = rng.dirichlet(np.ones(9), size=3)
    posterior = label_posterior(probs, grid[chosen], NUM_BARS, NOISE)
    noise = sparse_noise(NUM_BARS, NOISE)
    for row in range(3):
        hidden, labels = np.zeros(len(grid)), np.zeros(len(grid))
        hidden[chosen[row]] = probs[row]
        spread(hidden, (noise.indptr, noise.indices, noise.data), labels)
        np.testing.assert_allclose(labels, posterior[row], atol=1e-15)
        assert not hidden.any()
        expected = np.zeros(len(grid))
        for p, place in zip(probs[row], chosen[row], strict=True):
            a, b = grid[place].tolist()
            for span, q in _label_probs((a, b), NUM_BARS).items():
                expected[span_index(np.array(span), NUM_BARS)] += p * q
        np.testing.assert_allclose(posterior[row], expected, atol=1e-12)


def test_a_bar_is_covered_by_the_spans_that_hold_it(rng: np.random.Generator) -> None:
    grid = all_spans(NUM_BARS)
    posterior: FloatArray = rng.dirichlet(np.ones(len(grid)), size=2)
    covered = coverage(posterior, NUM_BARS)
    for t in range(NUM_BARS):
        holds = (grid[:, 0] <= t) & (t < grid[:, 1])
        np.testing.assert_allclose(covered[:, t], posterior[:, holds].sum(axis=1), atol=1e-12)


def test_the_shared_tables_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        all_spans(105)[0, 0] = 1


def test_longer_spans_have_a_grid_of_their_own() -> None:
    spans = all_spans(NUM_BARS, 12)
    assert len(spans) == sum(NUM_BARS - length + 1 for length in range(2, 13))
    assert longest_of(len(spans), NUM_BARS) == 12
    assert (span_index(spans, NUM_BARS, 12) == np.arange(len(spans))).all()


def test_blurring_is_the_noise_of_both_ends_spread_by_hand() -> None:
    noise = (0.4, 0.25, 0.05)
    spans = all_spans(NUM_BARS, 12)
    place = {tuple(span): i for i, span in enumerate(spans.tolist())}
    posterior = np.random.default_rng(0).dirichlet(np.ones(len(spans)), size=2)
    expected = np.zeros_like(posterior)
    for row in range(2):
        for (start, stop), i in place.items():
            for first in range(-2, 3):
                for last in range(-2, 3):
                    label = place.get((start + first, stop + last))
                    if label is not None:
                        share = noise[abs(first)] * noise[abs(last)]
                        expected[row, label] += share * posterior[row, i]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(blurred(posterior, NUM_BARS, noise), expected)


def test_a_wider_grid_keeps_what_the_narrow_one_says() -> None:
    posterior = np.random.default_rng(0).dirichlet(np.ones(len(all_spans(105))), size=2)
    wide = widened(posterior, 105, 40)
    np.testing.assert_allclose(wide.sum(axis=1), 1.0)
    np.testing.assert_allclose(coverage(wide, 105), coverage(posterior, 105), atol=1e-12)
