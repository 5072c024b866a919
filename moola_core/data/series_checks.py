"""Checks of bars as a series: order, repeats, gaps, their length, flat stretches, glitches.

A step longer than a bar is a break between sessions where the market closes then as a rule: over a
weekend, or from the same time of day on as on half of the days or more. Any other is a gap.
Letters: T bars.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moola_core.data.series import Bars, step_ns
from moola_core.data.time_limits import DAY_NS, in_utc
from moola_core.errors import ConfigError, DataError
from moola_core.spans.intervals import BoolArray, IntArray

MINUTE_NS = 60_000_000_000
FLAT_BARS = 10  # a stretch of so many bars that do not move is reported
GLITCH_RANGES = 20.0  # a wick of so many usual ranges that is gone in the next bar
JUMP_RATIO = 5.0  # of an open to the last close, beyond which it is no move of a market
JUMPS = "jumps of the price (another scale, or a split)"
NEAR_BARS = 50  # on either side, of which a usual range is the median


@dataclass(frozen=True)
class Check:
    """One line of the table: how many, and where the first or the worst is.

    Attributes:
        name: what was counted.
        count: how many bars or stretches.
        row: of the first or worst, counted from 0 in order of time; -1 if none.
        note: more about it.
        is_fault: whether a series with it is refused.
    """

    name: str
    count: int
    row: int = -1
    note: str = ""
    is_fault: bool = False


def check_series(bars: Bars, calendar: str | None = None) -> list[Check]:
    """Return every check of a series, also those that found nothing.

    Args:
        bars: in rising order as far as they are.
        calendar: a name of exchange_calendars, such as XNYS: gaps are then the bars that its
            sessions hold and the series lacks.

    Raises:
        ConfigError: exchange_calendars is not installed, or has no such calendar.
    """
    checks = [*_impossible(bars), *_flat(bars), _glitches(bars), _jumps(bars)]
    if bars.time is not None:
        checks = [*_order(bars, bars.time), *_gaps(bars.time, calendar), *checks]
    return checks


def require_one_instrument(where: str, bars: Bars) -> None:
    """Refuse bars of which more than half have another of the same time with other prices.

    Raises:
        DataError: they are of several instruments, or of several versions of one.
    """
    if bars.time is None:
        return
    order = np.argsort(bars.time, kind="stable")
    same = np.diff(bars.time[order]) == 0
    other = (bars.prices[order[1:]] != bars.prices[order[:-1]]).any(axis=1)
    is_one_of_several = np.zeros(len(bars), dtype=bool)
    is_one_of_several[1:] = same & other
    is_one_of_several[:-1] |= same & other
    number = int(is_one_of_several.sum())
    if number > len(bars) / 2:
        raise DataError(
            f"{where}: {number:,} of {len(bars):,} bars have one of the same time beside them, with"
            " other prices, expected one instrument; choose it (--symbol NAME, in a column symbol)"
            " or keep its rows only"
        )


def usual_range(bars: Bars) -> np.ndarray[Any, Any]:
    """``(T,)``: the median high to low of about `NEAR_BARS` bars on either side."""
    size = bars.prices[:, 1] - bars.prices[:, 2]
    out = np.empty(len(size))
    for begin in range(0, len(size), NEAR_BARS):
        near = size[max(begin - NEAR_BARS, 0) : begin + 2 * NEAR_BARS]
        near = near[near > 0]
        out[begin : begin + NEAR_BARS] = np.median(near) if len(near) else np.inf
    return out


def impossible(bars: Bars) -> BoolArray:
    """``(T,)``: True where a price is not finite, or high or low is inside the body."""
    opened, high, low, close = bars.prices.T
    with np.errstate(invalid="ignore"):
        wrong = (high < np.maximum(opened, close)) | (low > np.minimum(opened, close))
    return wrong | ~np.isfinite(bars.prices).all(axis=1)


def _order(bars: Bars, time: IntArray) -> list[Check]:
    step = np.diff(time)
    same = np.flatnonzero(step == 0) + 1
    equal = (bars.prices[same] == bars.prices[same - 1]).all(axis=1)
    fault = {"is_fault": True}
    return [
        _at("out of order", np.flatnonzero(step < 0) + 1, time, **fault),
        _at("repeated, with the same prices", same[equal], time, **fault),
        _at("repeated, with other prices", same[~equal], time, **fault),
    ]


def _gaps(time: IntArray, calendar: str | None) -> list[Check]:
    bar_ns = step_ns(time)
    if bar_ns is None:
        return []
    length = Check("bar length", len(time), 0, in_words(bar_ns))
    step = np.diff(time)
    odd = _at("steps that are no multiple of it", np.flatnonzero(step % bar_ns) + 1, time)
    long = np.flatnonzero(step > bar_ns)
    if calendar is not None:
        return [length, odd, _missing_of(calendar, time, bar_ns)]
    is_break = _between_sessions(time, long, bar_ns)
    between, inside = long[is_break], long[~is_break]
    return [
        length,
        odd,
        _longest("breaks between sessions", between, time, bar_ns),
        _longest("gaps inside sessions", inside, time, bar_ns),
    ]


def _between_sessions(time: IntArray, long: IntArray, bar_ns: int) -> BoolArray:
    """Return which of the steps after the bars `long` are closing times."""
    begins, ends = time[long] + bar_ns, time[long + 1]
    first_day, last_day = begins // DAY_NS, (ends - 1) // DAY_NS
    # 1970-01-01 was a Thursday: day 2 after it is a Saturday.
    saturday = (first_day - 2) // 7 * 7 + 2
    is_weekend = (saturday >= first_day) | (saturday + 7 <= last_day) | (first_day - saturday == 1)
    days = max(len(np.unique(time // DAY_NS)) - 1, 1)
    clock, which, count = np.unique(begins % DAY_NS, return_inverse=True, return_counts=True)
    del clock
    return is_weekend | (count[which] >= max(0.5 * days * 5 / 7, 2))


def _missing_of(name: str, time: IntArray, bar_ns: int) -> Check:
    try:
        import exchange_calendars  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as err:
        raise ConfigError(
            f"--calendar {name}: needs the package exchange_calendars,"
            " expected it to be installed; pip install exchange_calendars"
        ) from err
    first, last = (int(t) // DAY_NS for t in (time[0], time[-1]))
    bounds = [np.datetime64(day, "D").astype(str) for day in (first, last + 1)]
    try:
        with warnings.catch_warnings():  # what pandas deprecates in that package
            warnings.simplefilter("ignore")
            calendar = exchange_calendars.get_calendar(name, start=bounds[0], end=bounds[1])
            schedule = calendar.schedule
    except (ValueError, KeyError, exchange_calendars.errors.CalendarError) as err:
        raise ConfigError(
            f"--calendar {name}: {' '.join(str(err).split())[:150]}, expected a name like XNYS;"
            " name another, or leave it out"
        ) from err
    marks = ("open", "break_start", "break_end", "close")
    sessions = zip(*(schedule[mark] for mark in marks), strict=True)
    due = np.concatenate([_due_in([t.value for t in each], bar_ns) for each in sessions])
    due = due[(due >= time[0]) & (due <= time[-1])]
    lacks = ~np.isin(due, time)
    name = f"bars of {name}'s sessions that lack"
    if not lacks.any():
        return Check(name, 0)
    # A run of missing bars may span the night: it is cut where its session ends.
    runs = np.split(due[lacks], np.flatnonzero(np.diff(due[lacks]) != bar_ns) + 1)
    worst = max(runs, key=len)
    note = f"in {len(runs)} gaps, the longest {len(worst):,} bars from {in_utc(worst[0])}"
    return Check(name, int(lacks.sum()), -1, note)


def _due_in(session: list[int], bar_ns: int) -> IntArray:
    """Return when a session's bars open, in ns: those of open, break_start, break_end, close."""
    opens, pause, resumes, closes = session
    due = np.arange(opens, closes, bar_ns)
    return due[(due < pause) | (due >= resumes)]  # no break: NaT, whose number is below every time


def _impossible(bars: Bars) -> list[Check]:
    opened, high, low, close = bars.prices.T
    finite = np.isfinite(bars.prices).all(axis=1)
    with np.errstate(invalid="ignore"):
        top = high < np.maximum(opened, close)
        below = low > np.minimum(opened, close)
    fault = {"is_fault": True}
    return [
        _at("prices that are not finite", np.flatnonzero(~finite), bars.time, **fault),
        _at("high below open or close", np.flatnonzero(top), bars.time, **fault),
        _at("low above open or close", np.flatnonzero(below), bars.time, **fault),
        _at("prices of 0 or less", np.flatnonzero((bars.prices <= 0).any(axis=1)), bars.time),
    ]


def _flat(bars: Bars) -> list[Check]:
    still = np.zeros(len(bars), dtype=bool)
    still[1:] = (bars.prices[1:] == bars.prices[:-1, 3:]).all(axis=1)
    edges = np.diff(np.pad(still.astype(np.int8), 1))
    start, stop = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    long = stop - start >= FLAT_BARS
    start, stop = start[long], stop[long]
    name = f"stretches of {FLAT_BARS} flat bars or more"
    if not len(start):
        return [Check(name, 0)]
    worst = int(np.argmax(stop - start))
    note = f"longest {stop[worst] - start[worst]} bars"
    return [Check(name, len(start), int(start[worst]), note)]


def _glitches(bars: Bars) -> Check:
    """Return wicks of 20 usual ranges which neither neighbour comes near."""
    with np.errstate(invalid="ignore", over="ignore"):
        reach = GLITCH_RANGES * usual_range(bars)
        _, high, low, _ = bars.prices.T
        around_high = np.maximum(np.roll(high, 1), np.roll(high, -1))
        around_low = np.minimum(np.roll(low, 1), np.roll(low, -1))
        wrong = (high - around_high > reach) | (around_low - low > reach)
    wrong[:1] = wrong[-1:] = False
    return _at("glitches (a wick that is gone at once)", np.flatnonzero(wrong), bars.time)


def _jumps(bars: Bars) -> Check:
    """Return bars that open at several times the last close, as at another scale or a split."""
    before, after = bars.prices[:-1, 3], bars.prices[1:, 0]
    with np.errstate(all="ignore"):
        ratio = after / before
        size = np.where(ratio > 1, ratio, 1 / ratio)
    rows = np.flatnonzero(np.isfinite(size) & (size >= JUMP_RATIO)) + 1
    found = _at(JUMPS, rows, bars.time)
    if not len(rows):
        return found
    note = f"from {before[rows[0] - 1]:g} to {after[rows[0] - 1]:g}"
    return replace(found, note=", ".join(one for one in (found.note, note) if one))


def _at(name: str, rows: IntArray, time: IntArray | None, *, is_fault: bool = False) -> Check:
    if not len(rows):
        return Check(name, 0)
    row = int(rows[0])
    note = "" if time is None else f"first {in_utc(time[row])}"
    return Check(name, len(rows), row, note, is_fault)


def _longest(name: str, rows: IntArray, time: IntArray, bar_ns: int) -> Check:
    if not len(rows):
        return Check(name, 0)
    missing = (time[rows + 1] - time[rows]) // bar_ns - 1
    worst = int(np.argmax(missing))
    note = f"longest {missing[worst]:,} bars after {in_utc(time[rows[worst]])}"
    return Check(name, len(rows), int(rows[worst]), note)


def in_words(length_ns: int) -> str:
    """Return a length of time as people write it: 1 min, 4 h, 1 day, 15 s."""
    for unit, name in ((DAY_NS, "day"), (60 * MINUTE_NS, "h"), (MINUTE_NS, "min")):
        if length_ns % unit == 0:
            return f"{length_ns // unit} {name}"
    return f"{length_ns / 1e9:g} s"


def require_window(where: str, num_bars: int, expected: int, of: str) -> None:
    """Refuse windows of another number of bars than those of `of`.

    Raises:
        DataError: they have another number.
    """
    if num_bars != expected:
        raise DataError(
            f"{where}: windows of {num_bars} bars, expected {expected}, as {of};"
            f" make such windows: jobs.windows --length {expected}"
        )


def require_length(where: str, bar_ns: int | None, expected_ns: int, of: str) -> None:
    """Refuse bars of another length than those that `of` has; None is not known.

    Raises:
        DataError: they are of another length.
    """
    if bar_ns not in (None, expected_ns):
        raise DataError(
            f"{where}: bars of {in_words(bar_ns or 0)}, expected {in_words(expected_ns)},"
            f" as {of}; all the same: --any-bar-length"
        )
