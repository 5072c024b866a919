from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from moola_core.spans.intervals import (
    BoolArray,
    close_gaps,
    drop_short,
    find_runs,
    from_inclusive,
    span_iou,
    span_mask,
)

masks = arrays(bool, st.tuples(st.integers(1, 4), st.integers(1, 12)))


def test_inclusive_ends_become_half_open() -> None:
    spans = from_inclusive(np.array([11, 0]), np.array([16, 0]))
    assert spans.tolist() == [[11, 17], [0, 1]]


@given(masks)
def test_runs_give_the_whole_mask(mask: BoolArray) -> None:
    window, runs = find_runs(mask)
    rebuilt = np.zeros_like(mask)
    for row, (start, stop) in zip(window, runs, strict=True):
        rebuilt[row, start:stop] = True
    assert (rebuilt == mask).all()


@given(masks, st.integers(0, 5))
def test_gaps_are_closed_as_by_walking_along(mask: BoolArray, max_gap: int) -> None:
    expected = mask.copy()
    for row in expected:
        inside = np.flatnonzero(row)
        for a, b in itertools.pairwise(inside):
            if b - a - 1 <= max_gap:
                row[a:b] = True
    assert (close_gaps(mask, max_gap) == expected).all()


@given(masks, st.integers(1, 5))
def test_short_runs_are_dropped_and_no_others(mask: BoolArray, min_bars: int) -> None:
    window, runs = find_runs(mask)
    kept_window, kept = find_runs(drop_short(mask, min_bars))
    long = runs[:, 1] - runs[:, 0] >= min_bars
    assert (kept == runs[long]).all()
    assert (kept_window == window[long]).all()


@given(st.lists(st.tuples(*[st.integers(0, 20)] * 4), min_size=1, max_size=5))
def test_iou_is_that_of_the_sets_of_bars(ends: list[tuple[int, int, int, int]]) -> None:
    table = np.array(ends)
    first, second = np.sort(table[:, :2], axis=1), np.sort(table[:, 2:], axis=1)
    a, b = span_mask(first, 20), span_mask(second, 20)
    union = (a | b).sum(axis=1)
    expected = np.where(union > 0, (a & b).sum(axis=1) / np.maximum(union, 1), 0)
    assert np.allclose(span_iou(first, second), expected)
