from __future__ import annotations

import numpy as np
import pytest

from moola_core.data.windows import Windows
from moola_core.evaluation.disagreement import claim_of_model, claims_of_windows, disagreement
from moola_core.evaluation.label_noise import find_noise


def windows(spans: list[tuple[int, int]], first: list[int], words: list[int]) -> Windows:
    """Windows of one series that begin at its bars `first`."""
    rng = np.random.default_rng(0)
    close = 100 + rng.normal(0, 0.1, 600).cumsum()
    series = np.stack([close, close + 0.1, close - 0.1, close], axis=1)
    size = len(spans)
    return Windows(
        window_id=np.array([f"w{i}" for i in range(size)], dtype=object),
        group=np.arange(size),
        bars=np.stack([series[one : one + 105] for one in first]),
        spans=np.array(spans),
        types=np.array(words),
        overlap_fraction=np.ones(size),
        start_time=np.full(size, -1),
        offset=np.zeros(size, dtype=np.int64),
        labels=("up", "down"),
    )


def test_ends_that_differ_weigh_by_the_bars_that_both_show() -> None:
    two = windows([(40, 50), (20, 25)], [0, 20], [0, 0])  # 40 to 50 and 40 to 45 of the series
    ours, theirs = claims_of_windows(two, find_noise(two))
    assert [(one.by, one.start, one.stop, one.label) for one in ours] == [("w1", 40, 45, "up")]
    assert [(one.by, one.start, one.stop) for one in theirs] == [("w0", 20, 30)]
    assert disagreement(ours) == disagreement(theirs) == pytest.approx(0.5)


def test_another_type_of_the_same_run_weighs_most() -> None:
    two = windows([(40, 50), (20, 30)], [0, 20], [0, 1])
    ours, _ = claims_of_windows(two, find_noise(two))
    assert [(one.kind, one.label, one.weight) for one in ours] == [("type", "down", 1.0)]


def test_another_run_counts_where_it_is_whole_in_sight() -> None:
    two = windows([(10, 20), (60, 70)], [0, 40], [0, 0])  # the first at 10, the second at 100
    ours, theirs = claims_of_windows(two, find_noise(two))
    assert (ours, theirs) == ([], [])
    two = windows([(10, 20), (40, 50)], [0, 40], [0, 0])  # at 80: the first window shows it
    ours, theirs = claims_of_windows(two, find_noise(two))
    assert [(one.kind, one.start, one.stop, one.weight) for one in ours] == [
        ("other_run", 80, 90, 1.0)
    ]
    assert theirs == []


def test_near_duplicates_and_agreement_weigh_nothing() -> None:
    two = windows([(40, 50), (38, 48)], [0, 2], [0, 0])
    ours, _ = claims_of_windows(two, find_noise(two))
    assert [one.kind for one in ours] == ["near_duplicate"]
    assert disagreement(ours) == 0
    assert disagreement([]) == 0


@pytest.mark.parametrize(
    ("said", "sure", "sure_of_type", "weight"),
    [
        ((10, 20, "up"), 0.9, 0.9, 0.0),
        ((10, 15, "up"), 0.8, 0.9, 0.4),
        ((50, 60, "up"), 0.8, 0.9, 0.8),
        ((10, 20, "down"), 0.9, 0.7, 0.7),
        ((10, 20, ""), 0.9, 0.0, 0.0),
    ],
)
def test_a_model_weighs_by_how_sure_it_is(
    said: tuple[int, int, str], sure: float, sure_of_type: float, weight: float
) -> None:
    claim = claim_of_model((10, 20, "up"), said, sure, sure_of_type)
    assert claim.weight == pytest.approx(weight)
    assert claim.confidence == sure
