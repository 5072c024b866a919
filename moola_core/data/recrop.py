"""Re-cropping: labelled windows cut once more from the series that they came from.

A crop shows the whole span at another place, with features that start at its own first bar. It
shows no bar of a window that judges. Letters: B windows, T bars a window, N bars of the series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from moola_core.config.data_sections import CropConfig
from moola_core.data.series import Bars
from moola_core.data.windows import ROW_FIELDS, Windows
from moola_core.errors import DataError
from moola_core.spans.intervals import BoolArray, IntArray


def recrop(
    windows: Windows, series: Bars, unseen: Sequence[Windows], config: CropConfig, seed: int
) -> Windows:
    """`windows`, then up to ``config.number`` crops of each that shows its span whole.

    Shifts are drawn without replacement from those of at most ``config.reach`` bars that keep
    every span inside. A window where fewer are left gets fewer.

    Args:
        windows: to train on; with times.
        series: where they were cut; with times.
        unseen: windows of which no crop may show a bar; those of other series don't matter.
        config: how many crops, and how far.
        seed: of the draw.

    Raises:
        DataError: a window is not in the series.
    """
    num_bars = windows.bars.shape[1]
    place = locate(windows, series)
    if (place < 0).any():
        missing = windows.window_id[np.argmax(place < 0)]
        raise DataError(
            f"data.crops: window {missing} is not in the series,"
            " expected data.crops.bars to hold the bars that windows were cut from;"
            " name that series, or leave it out: --set data.crops=null"
        )
    hidden = _shown_bars(unseen, series)
    # Bars before each bar that no crop may show: a stretch is free where the count stands still.
    count = np.concatenate([[0], np.cumsum(hidden)])
    rng = np.random.default_rng(seed)
    rows, shifts = [], []
    outer_start, outer_stop = _outer(windows)
    for row in np.flatnonzero((windows.overlap_fraction == 1) & windows.has_span):
        start, stop = outer_start[row], outer_stop[row]
        low = max(-config.reach, int(stop) - num_bars, -int(place[row]))
        high = min(config.reach, int(start), len(series) - num_bars - int(place[row]))
        every = np.arange(low, high + 1)
        first = place[row] + every
        every = every[(every != 0) & (count[first + num_bars] == count[first])]
        drawn = rng.permutation(every)[: config.number]
        rows += [row] * len(drawn)
        shifts += drawn.tolist()
    crops = _cut(windows.take(np.array(rows, np.int64)), place[rows], np.array(shifts), series)
    rows_of = {name: [getattr(one, name) for one in (windows, crops)] for name in ROW_FIELDS}
    joined: dict[str, Any] = {
        name: None if both[0] is None else np.concatenate(both) for name, both in rows_of.items()
    }
    return replace(windows, **joined)


def _outer(windows: Windows) -> tuple[IntArray, IntArray]:
    """``(B,)`` each: where the first span begins and the last one stops."""
    starts, stops = windows.sets[..., 0], windows.sets[..., 1]
    starts = np.where(stops > starts, starts, windows.bars.shape[1])
    return starts.min(axis=1), stops.max(axis=1)


def locate(windows: Windows, series: Bars) -> IntArray:
    """``(B,)``: the bar of `series` that each window begins with; -1 where it is not in it.

    Raises:
        DataError: windows or series have no times.
    """
    if series.time is None or (windows.start_time < 0).any():
        raise DataError(
            "data.crops: expected windows with start_timestamp and bars with timestamp;"
            " add them, or leave it out: --set data.crops=null"
        )
    num_bars = windows.bars.shape[1]
    place = np.searchsorted(series.time, windows.start_time)
    place = np.minimum(place, max(len(series) - num_bars, 0))
    shown = series.prices[place[:, None] + np.arange(num_bars)]
    is_there = np.isclose(shown, windows.bars, rtol=1e-6, atol=0).all(axis=(1, 2))
    return np.where(is_there & (series.time[place] == windows.start_time), place, -1)


def _shown_bars(unseen: Sequence[Windows], series: Bars) -> BoolArray:
    """``(N,)``: True at the bars of the series that a window of `unseen` shows."""
    shown = np.zeros(len(series), dtype=bool)
    for windows in unseen:
        place = locate(windows, series)
        shown[place[place >= 0, None] + np.arange(windows.bars.shape[1])] = True
    return shown


def _cut(windows: Windows, place: IntArray, shifts: IntArray, series: Bars) -> Windows:
    """Return each of `windows` moved by its shift along the series."""
    assert series.time is not None
    first = place + shifts
    several = windows.several
    if several is not None:
        is_span = several[..., 1:] > several[..., :1]
        several = np.where(is_span, several - shifts[:, None, None], 0)
    names = [f"{name}~{shift:+d}" for name, shift in zip(windows.window_id, shifts, strict=True)]
    return replace(
        windows,
        window_id=np.array(names, dtype=object),
        group=windows.group,
        bars=series.prices[first[:, None] + np.arange(windows.bars.shape[1])],
        spans=windows.spans - shifts[:, None],
        types=windows.types,
        several=several,
        overlap_fraction=windows.overlap_fraction,
        start_time=series.time[first],
        offset=windows.offset + shifts,
    )
