from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from moola_core.data.series import Bars
from moola_core.errors import ConfigError, DataError
from moola_core.inference.sliding import Answers, find_spans, suppress, sure_length
from moola_core.spans.intervals import FloatArray, IntArray, find_runs

NUM_BARS = 1000
PLANTED = np.array([[3, 9], [150, 160], [300, 307], [420, 428], [985, 995]])


def _series(planted: IntArray = PLANTED, num_bars: int = NUM_BARS) -> Bars:
    """Bars whose price is their index, and whose high says how sure a run there is."""
    prices = np.repeat(np.arange(num_bars, dtype=np.float64)[:, None], 4, axis=1)
    for k, (start, stop) in enumerate(planted):
        prices[start:stop, 1] += 1 + k
    return Bars(prices, np.arange(num_bars) * 60)


def _answer(windows: FloatArray) -> Answers:
    """The surest run in each window, as far as the window shows it."""
    sure = windows[..., 1] - windows[..., 0]
    best = sure.max(axis=1)
    inside = (sure == best[:, None]) & (best[:, None] > 0)
    start = inside.argmax(axis=1)
    spans = np.stack([start, start + inside.sum(axis=1)], axis=1)
    num_windows = len(windows)
    return Answers(spans, best / 10, np.zeros(num_windows, dtype=np.int64), best / 20)


def _chunks(bars: Bars, size: int) -> list[Bars]:
    assert bars.time is not None
    cuts = range(0, len(bars), size)
    return [Bars(bars.prices[a : a + size], bars.time[a : a + size]) for a in cuts]


@pytest.mark.parametrize("stride", [1, 7, 35, 79])
@pytest.mark.parametrize("size", [64, 333, 1000])
def test_each_planted_run_is_found_once(stride: int, size: int) -> None:
    found = find_spans(_chunks(_series(), size), _answer, stride=stride)
    assert found.spans.tolist() == PLANTED.tolist()
    np.testing.assert_allclose(found.confidence, np.arange(1, 6) / 10)
    assert found.time is not None
    assert found.time.tolist() == [[60 * a, 60 * (b - 1)] for a, b in PLANTED]
    assert found.num_bars == NUM_BARS
    assert found.num_windows == -(-(NUM_BARS - 105) // stride) + 1


def test_chunks_do_not_change_the_answer() -> None:
    whole = find_spans([_series()], _answer)
    pieces = find_spans(_chunks(_series(), 17), _answer)
    for name in ("spans", "confidence", "types", "windows", "time"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


def test_windows_count_those_that_found_it() -> None:
    found = find_spans([_series(PLANTED[3:4])], _answer, stride=35)
    first = np.append(np.arange(0, NUM_BARS - 104, 35), NUM_BARS - 105)
    assert found.windows.tolist() == [np.sum((first < 420) & (first + 105 > 428))]


def test_a_run_that_a_window_cuts_is_dropped_and_at_the_series_end_kept() -> None:
    planted = np.array([[103, 110], [0, 6], [990, 1000]])
    found = find_spans([_series(planted)], _answer)
    assert found.spans.tolist() == sorted(planted.tolist())


def test_less_sure_ones_are_dropped() -> None:
    assert find_spans([_series()], _answer, floor=0.35).spans.tolist() == PLANTED[3:].tolist()


def test_a_series_without_runs_has_none() -> None:
    found = find_spans([_series(PLANTED[:0])], _answer)
    assert found.spans.shape == (0, 2)
    assert found.windows.shape == (0,)


def test_a_series_of_one_window_is_enough_and_less_is_refused() -> None:
    bars = _series(PLANTED[:1], 105)
    assert find_spans(_chunks(bars, 50), _answer).num_windows == 1
    with pytest.raises(DataError, match="expected at least 105, the length of a window, got 104"):
        find_spans([bars.after(1)], _answer)


@pytest.mark.parametrize("stride", [0, 80])
def test_a_stride_that_would_miss_runs_is_refused(stride: int) -> None:
    with pytest.raises(ConfigError, match=r"stride: expected 1\.\.79"):
        find_spans([_series()], _answer, stride=stride)


@pytest.mark.parametrize("longest", [25, 75, 94])
def test_the_longest_span_is_found_wherever_it_is(longest: int) -> None:
    stride = 105 - longest - 1
    for start in range(200, 200 + stride):
        planted = np.array([[start, start + longest]])
        found = find_spans([_series(planted, 500)], _answer, stride=stride, longest=longest)
        assert found.spans.tolist() == planted.tolist()


@pytest.mark.parametrize("longest", [96, 105])
def test_spans_as_long_as_windows_cost_ten_windows_a_bar(longest: int) -> None:
    found = find_spans([_series()], _answer, longest=longest)
    assert found.num_windows == -(-(NUM_BARS - 105) // 10) + 1
    assert sure_length(105, longest, None) == 94
    assert sure_length(105, longest, 3) == min(longest, 101)
    assert sure_length(105, 25, None) == 25


def test_only_a_few_chunks_are_held() -> None:
    held: list[weakref.ref[FloatArray]] = []

    def chunks() -> Iterator[Bars]:
        for chunk in _chunks(_series(), 50):
            prices = chunk.prices.copy()
            held.append(weakref.ref(prices))
            yield Bars(prices, chunk.time)
            del prices
            assert sum(one() is not None for one in held) <= 2

    assert len(find_spans(chunks(), _answer).spans) == len(PLANTED)


def test_suppression_is_greedy_by_confidence() -> None:
    rng = np.random.default_rng(0)
    start = rng.integers(0, 480, size=200)
    spans = np.stack([start, start + rng.integers(1, 20, size=200)], axis=1)
    confidence = rng.random(200)
    kept: list[int] = []
    for row in sorted(range(200), key=lambda row: -confidence[row]):
        if all(spans[row, 1] <= spans[k, 0] or spans[k, 1] <= spans[row, 0] for k in kept):
            kept.append(row)
    rows, counts = suppress(spans, confidence, 500)
    assert rows.tolist() == sorted(kept, key=lambda row: spans[row, 0])
    assert counts.sum() == 200


def _answer_all(windows: FloatArray) -> Answers:
    """Every run in each window, as far as the window shows it."""
    sure = windows[..., 1] - windows[..., 0]
    window, spans = find_runs(sure > 0)
    confidence = sure[window, spans[:, 0]] / 10
    return Answers(spans, confidence, np.arange(len(spans)) * 0, confidence, window)


@pytest.mark.parametrize("stride", [7, 79])
def test_so_it_is_where_a_window_gives_several(stride: int) -> None:
    planted = np.array([[3, 9], [10, 14], [20, 31], [500, 520], [523, 530], [990, 1000]])
    found = find_spans(_chunks(_series(planted), 64), _answer_all, stride=stride)
    assert found.spans.tolist() == planted.tolist()
    np.testing.assert_allclose(found.confidence, np.arange(1, 7) / 10)
    assert found.time is not None
    assert found.time.tolist() == [[60 * a, 60 * (b - 1)] for a, b in planted]
