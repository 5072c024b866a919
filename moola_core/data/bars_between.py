"""Bars of a series by the times at which spans begin and end."""

from __future__ import annotations

from typing import Literal

import numpy as np

from moola_core.data.raw_spans import Ends
from moola_core.data.series import Bars, step_ns
from moola_core.data.time_limits import DAY_NS, whole_close
from moola_core.spans.intervals import BoolArray, IntArray

HOUR_NS = DAY_NS // 24  # by which clocks are moved


def bars_between(
    first: IntArray, last: IntArray, bars: Bars, ends: Ends
) -> tuple[IntArray, IntArray]:
    """Return the bars between two times: those that `first` and `last` are in, or lie between.

    A time in a gap stands for the next bar if it begins a span, for the one before if it ends it.
    """
    assert bars.time is not None
    time = bars.time
    step = step_ns(time) or 1
    start = np.searchsorted(time, first, side="right") - 1
    in_gap = (start >= 0) & (first >= time[np.maximum(start, 0)] + step)
    start = start + in_gap
    side: Literal["left", "right"] = "right" if ends == "inclusive" else "left"
    stop = np.searchsorted(time, last, side=side)
    beyond = last > time[-1] + step  # behind the series
    return start.astype(np.int64), np.where(beyond, len(time) + 1, stop).astype(np.int64)


def is_open_of(start: IntArray, time: IntArray, bars: Bars) -> BoolArray:
    """Return which of the times are those at which the bars `start` open."""
    assert bars.time is not None
    return bars.time[np.clip(start, 0, len(bars) - 1)] == time


def by_opens(time: IntArray, opens: IntArray) -> IntArray:
    """Return times with the open of each bar for its close."""
    step, whole = step_ns(opens) or 0, whole_close(time)  # as the bars were moved
    closes = opens + step
    if step % DAY_NS == 0:  # of days of 23 and 25 hours that of the next one's open
        is_next = np.abs(opens[1:] - closes[:-1]) <= HOUR_NS
        closes[:-1] = np.where(is_next, opens[1:], closes[:-1])
    begins = np.append(opens, closes[-1])
    closes = np.append(closes, closes[-1] + step)  # a half-open span ends behind the last
    at = np.minimum(np.searchsorted(closes, whole), len(closes) - 1)
    return np.where(closes[at] == whole, begins[at], time)
