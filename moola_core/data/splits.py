"""Which windows train and which validate. Letters: B windows.

`random` is the seed's split: shifted copies of one window fall on both sides, and the score leaks.
`grouped` keeps a physical span on one side, `blocked` also keeps a stretch of time on one side;
`purge` then drops the training windows that share a bar with validation, or lie within an embargo
of it (López de Prado 2018, Advances in Financial Machine Learning, ch. 7).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moola_core.config.data_sections import SplitConfig
from moola_core.data.overlaps import Overlaps, find_overlaps
from moola_core.data.windows import Windows
from moola_core.errors import DataError
from moola_core.spans.intervals import BoolArray, IntArray


@dataclass(frozen=True)
class Split:
    """Rows of windows, sorted; no row is on both sides, purged rows are on neither."""

    train: IntArray
    validation: IntArray


def make_split(windows: Windows, config: SplitConfig, seed: int) -> Split:
    """Return the one split that `config` asks for.

    Raises:
        DataError: there are too few windows or groups to leave something on both sides.
    """
    rng = np.random.default_rng(seed)
    if config.kind == "random":
        num_validation = round(len(windows) * config.validation_share)
        split = _split_at(rng.permutation(len(windows)), num_validation)
    else:
        order = _group_order(windows, rng if config.kind == "grouped" else None)
        in_validation = _first_groups(windows.group, order, config.validation_share)
        split = Split(np.flatnonzero(~in_validation), np.flatnonzero(in_validation))
    if config.purge:
        split = purge(windows, split, find_overlaps(windows), config.embargo_bars)
    require_sides(split, config)
    return split


def require_sides(split: Split, config: SplitConfig) -> None:
    """Refuse a split that has nothing on one side.

    Raises:
        DataError: it has not; of dense windows all may share bars with those left out.
    """
    if len(split.train) and len(split.validation):
        return
    cure = "give more windows"
    if config.purge and len(split.validation):
        cure = "give windows of more bars, as these share bars with one another"
        if config.kind == "grouped":
            cure += ", or leave out a stretch of time: --set split.kind=blocked"
    raise DataError(
        f"split {config.kind}: expected windows on both sides, got {len(split.train)} to train on"
        f" and {len(split.validation)} to validate; {cure}"
    )


def make_folds(windows: Windows, num_folds: int, config: SplitConfig, seed: int) -> list[Split]:
    """`num_folds` splits in which each window validates exactly once; one side may be empty.

    Raises:
        DataError: there are fewer groups than folds.
    """
    rng = np.random.default_rng(seed)
    if config.kind == "random":
        fold = rng.permutation(len(windows)) * num_folds // len(windows)
    else:
        order = _group_order(windows, rng if config.kind == "grouped" else None)
        if len(order) < num_folds:
            raise DataError(
                f"folds: expected windows of at least {num_folds} spans, got {len(order)}; give"
                " more, or ask for fewer folds: crossval --folds, train --set ensemble.pool_folds=2"
            )
        fold_of_group = np.empty(len(order), dtype=np.int64)
        fold_of_group[order] = np.arange(len(order)) * num_folds // len(order)
        fold = fold_of_group[np.unique(windows.group, return_inverse=True)[1]]
    overlaps = find_overlaps(windows) if config.purge else None
    splits = []
    for k in range(num_folds):
        split = Split(np.flatnonzero(fold != k), np.flatnonzero(fold == k))
        splits.append(purge(windows, split, overlaps, config.embargo_bars) if overlaps else split)
    return splits


def purge(windows: Windows, split: Split, overlaps: Overlaps, embargo_bars: int = 0) -> Split:
    """`split` without the training windows that share a bar with validation or are too near."""
    in_validation = np.zeros(len(windows), dtype=bool)
    in_validation[split.validation] = True
    tainted = np.zeros(len(windows), dtype=bool)
    tainted[overlaps.first[in_validation[overlaps.second]]] = True
    tainted[overlaps.second[in_validation[overlaps.first]]] = True
    tainted |= _too_near(windows, in_validation, embargo_bars)
    return Split(split.train[~tainted[split.train]], split.validation)


def _split_at(order: IntArray, num_validation: int) -> Split:
    return Split(np.sort(order[num_validation:]), np.sort(order[:num_validation]))


def _group_order(windows: Windows, rng: np.random.Generator | None) -> IntArray:
    """Return groups (as ranks) shuffled, or by their first bar where there is no `rng`.

    Shuffled, those with a span lie evenly among those without: few are on both sides of any cut.
    """
    names, rank = np.unique(windows.group, return_inverse=True)
    if rng is not None:
        order = rng.permutation(len(names))
        has_span = np.isin(order, rank[windows.has_span])
        place = np.empty(len(names))
        for kind in (has_span, ~has_span):
            place[kind] = (np.arange(kind.sum()) + 0.5) / max(kind.sum(), 1)
        return order[np.argsort(place, kind="stable")]
    first = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first, rank, windows.start_time)
    return np.argsort(first, kind="stable")


def _first_groups(group: IntArray, order: IntArray, share: float) -> BoolArray:
    """``(B,)``: True in the first groups of `order` that hold about `share` of the windows."""
    rank = np.unique(group, return_inverse=True)[1]
    size = np.bincount(rank)
    before = np.cumsum(size[order]) - size[order]
    chosen = order[before + size[order] / 2 <= share * len(group)]
    return np.isin(rank, chosen)


def _too_near(windows: Windows, in_validation: BoolArray, embargo_bars: int) -> BoolArray:
    """``(B,)``: True less than T + embargo bars from the start of a validation window."""
    start = windows.start_time
    validation = np.sort(start[in_validation & (start >= 0)])
    if not len(validation):
        return np.zeros(len(windows), dtype=bool)
    reach = (windows.bars.shape[1] + embargo_bars) * windows.bar_ns
    low = np.searchsorted(validation, start - reach, side="right")
    high = np.searchsorted(validation, start + reach, side="left")
    return (high > low) & (start >= 0)
