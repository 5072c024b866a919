"""Times of bars: closes inside their bar, years of another unit, and how a time is shown."""

from __future__ import annotations

import numpy as np

from moola_core.errors import DataError
from moola_core.spans.intervals import IntArray

SECOND = 10**9
DAY_NS = 86_400 * SECOND
LAST_MS = 999 * 10**6
FIRST_YEARS = 10**17  # nanoseconds, until 1973


def whole_close(time: IntArray) -> IntArray:
    """Return times ``(N,)`` in nanoseconds, closes such as 14:30:59.999 moved to the full second.

    Unless every time lies in the last millisecond of its second they stay as they are.
    """
    rest = time % SECOND
    return time + SECOND - rest if (rest >= LAST_MS).all() else time


def require_years(where: str, time: IntArray) -> None:
    """Refuse times ``(N,)`` of 1970 that lie parts of a second apart: their unit is misread.

    Raises:
        DataError: they are.
    """
    step = np.abs(np.diff(time))
    if len(step) and (np.abs(time) < FIRST_YEARS).all() and np.median(step) < SECOND:
        raise DataError(
            f"{where}: times from {time[0].astype('datetime64[ns]')} on, expected bars of a second"
            " or more; their unit is another one than the file says: write them again"
        )


def in_utc(time_ns: int | np.int64) -> str:
    """Return a time in nanoseconds since 1970 to the second: ``2024-01-02 14:30:00``."""
    return str(np.datetime64(int(time_ns), "ns").astype("datetime64[s]")).replace("T", " ")
