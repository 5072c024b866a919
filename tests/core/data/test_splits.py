from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_core.config.data_sections import SplitConfig
from moola_core.data.overlaps import find_overlaps
from moola_core.data.splits import Split, make_folds, make_split, purge, require_sides
from moola_core.data.synthetic import make_market
from moola_core.data.windows import Windows
from moola_core.errors import DataError
from moola_core.spans.intervals import IntArray
from tests.core.data.test_overlaps import cut
from tests.support.cases import at_most

MARKET = make_market(6000, seed=1)
Kind = Literal["random", "grouped", "blocked"]


def _bars(first: IntArray, rows: IntArray) -> set[int]:
    return set((first[rows][:, None] + np.arange(105)).ravel().tolist())


def _first(windows: Windows) -> IntArray:
    return np.array([int(name) for name in windows.window_id])


def _check(windows: Windows, split: Split, embargo: int) -> None:
    first = _first(windows)
    train, validation = _bars(first, split.train), _bars(first, split.validation)
    assert not train & validation
    assert not set(split.train.tolist()) & set(split.validation.tolist())
    if len(split.train):
        minutes = windows.start_time // 60_000_000_000
        apart = np.abs(minutes[split.train][:, None] - minutes[split.validation])
        assert apart.min() >= 105 + embargo


@given(
    st.lists(st.integers(0, 5800), min_size=12, max_size=40, unique=True),
    st.sampled_from(["random", "grouped", "blocked"]),
    st.integers(0, 60),
    st.integers(0, 99),
)
@at_most(60)
def test_purged_sides_share_no_bar(first: list[int], kind: Kind, embargo: int, seed: int) -> None:
    windows = cut(MARKET, first)
    config = SplitConfig(kind=kind, purge=True, embargo_bars=embargo)
    for split in make_folds(windows, 3, config, seed):
        _check(windows, split, embargo)


@pytest.mark.parametrize("embargo", [0, 20])
def test_training_begins_a_window_and_an_embargo_away(embargo: int) -> None:
    away = 105 + embargo
    starts = [1000, 1000 - away, 1000 - away + 1, 1000 + away - 1, 1000 + away, 3000]
    windows = cut(MARKET, starts)
    split = Split(np.arange(1, 6), np.array([0]))
    kept = purge(windows, split, find_overlaps(windows), embargo)
    assert kept.validation.tolist() == [0]
    assert kept.train.tolist() == [1, 4, 5]


@given(st.integers(0, 99), st.sampled_from(["grouped", "blocked"]))
@at_most(20)
def test_a_physical_span_is_on_one_side(seed: int, kind: Kind) -> None:
    windows = _grouped(60)
    split = make_split(windows, SplitConfig(kind=kind, purge=False), seed)
    assert not set(windows.group[split.train]) & set(windows.group[split.validation])
    assert len(split.train) + len(split.validation) == 60
    assert 8 <= len(split.validation) <= 16


def test_folds_validate_each_window_once() -> None:
    windows = _grouped(60)
    for kind in ("random", "grouped", "blocked"):
        folds = make_folds(windows, 5, SplitConfig(kind=kind), seed=2)
        rows = np.concatenate([fold.validation for fold in folds])
        assert sorted(rows.tolist()) == list(range(60))


def test_there_may_be_as_many_folds_as_spans() -> None:
    windows = _grouped(60)
    number = len(np.unique(windows.group))
    folds = make_folds(windows, number, SplitConfig(kind="grouped", purge=False), seed=0)
    assert all(len(np.unique(windows.group[fold.validation])) == 1 for fold in folds)
    with pytest.raises(DataError, match=f"at least {number + 1} spans, got {number}"):
        make_folds(windows, number + 1, SplitConfig(kind="grouped", purge=False), seed=0)


def test_blocks_are_stretches_of_time() -> None:
    windows = _grouped(60)
    for fold in make_folds(windows, 4, SplitConfig(kind="blocked"), seed=0):
        first = _first(windows)[fold.validation]
        assert first.max() - first.min() < 2000


@pytest.mark.parametrize("seed", range(20))
def test_few_spans_among_many_windows_without_are_on_both_sides(seed: int) -> None:
    windows = cut(MARKET, [90 * i for i in range(60)])
    spans = windows.spans.copy()
    spans[2:] = 0
    windows = replace(windows, spans=spans, types=np.where(np.arange(60) < 2, windows.types, -1))
    assert windows.has_span.sum() == 2
    config = SplitConfig(validation_share=0.5, purge=False)
    for split in [make_split(windows, config, seed), *make_folds(windows, 2, config, seed)]:
        assert windows.has_span[split.train].sum() == 1
        assert windows.has_span[split.validation].sum() == 1


def test_the_random_split_is_the_seeds_168_and_42() -> None:
    windows = cut(MARKET, list(range(0, 5250, 25)))
    split = make_split(windows, SplitConfig(kind="random", purge=False), seed=0)
    assert (len(split.train), len(split.validation)) == (168, 42)
    first = _first(windows)
    assert _bars(first, split.train) & _bars(first, split.validation)  # it leaks, as the seed's


def test_a_split_depends_on_its_seed_alone() -> None:
    windows = _grouped(60)
    config = SplitConfig()
    one, same, other = (make_split(windows, config, seed) for seed in (1, 1, 2))
    assert (one.train.tolist(), one.validation.tolist()) == (
        same.train.tolist(),
        same.validation.tolist(),
    )
    assert one.validation.tolist() != other.validation.tolist()


def test_too_few_windows_are_refused() -> None:
    with pytest.raises(DataError, match="expected windows on both sides, got"):
        make_split(cut(MARKET, [0, 10, 20]), SplitConfig(kind="random"), seed=0)
    with pytest.raises(DataError, match="windows of at least 5 spans, got 3; give more, or ask"):
        make_folds(cut(MARKET, [0, 300, 900]), 5, SplitConfig(), seed=0)


@pytest.mark.parametrize(("kind", "cure"), [("grouped", "split.kind=blocked"), ("blocked", "bars")])
def test_windows_that_all_share_bars_leave_nothing_to_learn_from(kind: str, cure: str) -> None:
    windows = cut(MARKET, [5 * i for i in range(20)])
    config = SplitConfig.model_validate({"kind": kind})
    split = make_folds(windows, 5, config, seed=0)[0]
    assert len(split.train) == 0
    with pytest.raises(DataError, match=rf"got 0 to train on and 4 to validate; .*{cure}"):
        require_sides(split, config)
    unpurged = config.model_copy(update={"purge": False})
    require_sides(make_folds(windows, 5, unpurged, seed=0)[0], unpurged)


def _grouped(num_windows: int) -> Windows:
    windows = cut(MARKET, [90 * i for i in range(num_windows)])
    return Windows(**{**windows.__dict__, "group": np.arange(num_windows) // 3})
