from __future__ import annotations

import numpy as np
import pytest

from moola_core.features.targets import countdown, edge_rows, pointer, soft_mask
from moola_core.spans.intervals import span_mask

SPANS = np.array([[0, 1], [40, 47], [98, 105]])


def test_a_mask_without_edge_width_is_the_hard_one() -> None:
    assert (soft_mask(SPANS, 105, 0) == span_mask(SPANS, 105)).all()


@pytest.mark.parametrize("width", [0.3, 1.0, 2.0])
def test_a_soft_mask_is_half_at_the_ends_and_symmetric(width: float) -> None:
    # An odd span: bar 43 is its middle; the ends lie half a bar from the bars 39|40 and 46|47.
    row = soft_mask(np.array([[40, 47]]), 105, width)[0]
    assert row.min() >= 0
    assert row.max() <= 1
    assert row[43 - 30 : 44 + 30] == pytest.approx(row[43 - 30 : 44 + 30][::-1])
    assert row[39] < 0.5
    assert row[40] > 0.3
    assert (np.diff(row[:44]) >= 0).all()


def test_a_narrow_edge_gives_nearly_the_hard_mask() -> None:
    assert soft_mask(SPANS, 105, 0.02) == pytest.approx(
        span_mask(SPANS, 105).astype(float), abs=1e-9
    )


def test_the_pointer_is_centre_and_length_over_the_window() -> None:
    assert pointer(SPANS, 105)[1].tolist() == [43.5 / 105, 7 / 105]


@pytest.mark.parametrize("width", [0.0, 1.0, 3.0])
def test_edge_rows_are_distributions_about_the_first_and_last_bar(width: float) -> None:
    start, stop = edge_rows(SPANS, 105, width)
    assert start.sum(axis=1) == pytest.approx(np.ones(3))
    assert stop.sum(axis=1) == pytest.approx(np.ones(3))
    assert start.argmax(axis=1).tolist() == [0, 40, 98]
    assert stop.argmax(axis=1).tolist() == [0, 46, 104]


def test_the_countdown_is_clipped_then_scaled() -> None:
    row = countdown(np.array([[40, 47]]), 105, clip=20, scale=20)[0]
    assert (row[0], row[30], row[40], row[104]) == (1.0, 0.5, 0.0, -1.0)
    assert countdown(np.array([[40, 47]]), 105, clip=20, scale=1)[0, 0] == 20
