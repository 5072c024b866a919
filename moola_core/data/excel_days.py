"""Times as Excel counts them: days since 1900, or since 1904 in older books of a Mac.

A cell of the format General is saved to CSV with the digits that it shows, eleven of them: five
decimals at today's dates, which are 0.9 s. Times are therefore rounded to what their digits carry.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from moola_core.spans.intervals import BoolArray, IntArray

DAY_1970 = {"1900": 25_569, "1904": 24_107}  # the number that Excel has for 1970-01-01
DAY_S = 86_400
EXPECTED = "days as Excel counts them, with five decimals or more, or whole minutes"
MILLISECOND = 10**6
_WHOLE_MINUTES, _WHOLE_SECONDS = 4, 7  # up to so many decimals


def days_to_ns(columns: list[pa.ChunkedArray], since: str) -> tuple[IntArray, BoolArray]:
    """Return nanoseconds since 1970 of the local clock, and which rows have too few digits.

    Args:
        columns: of text: days, or whole days and parts of a day; a comma may stand for the point.
        since: 1900 or 1904.

    Raises:
        pa.ArrowInvalid: a value is no number.
    """
    texts = [pc.replace_substring(column, ",", ".") for column in columns]
    days = np.sum([text.cast(pa.float64()).to_numpy() for text in texts], axis=0)
    seconds = (days - DAY_1970[since]) * DAY_S
    decimals = max(_decimals(text) for text in texts)
    if decimals <= _WHOLE_MINUTES:
        minutes = np.rint(seconds / 60)
        is_coarse = np.abs(seconds - 60 * minutes) > 1e-2
        return minutes.astype(np.int64) * 60 * 10**9, is_coarse
    if decimals <= _WHOLE_SECONDS:
        count = np.rint(seconds).astype(np.int64) * 10**9
    else:
        count = np.rint(seconds * 1000).astype(np.int64) * MILLISECOND
    return count, np.zeros(len(days), dtype=bool)


def _decimals(column: pa.ChunkedArray) -> int:
    """Return the most digits behind the point; sixteen where a value has an exponent."""
    parts = pc.struct_field(pc.extract_regex(column, r"^[^.eE]*\.?(?P<d>\d*)(?P<e>.*)$"), [0])
    has_exponent = pc.any(pc.match_substring_regex(column, "[eE]")).as_py()
    return 16 if has_exponent else int(pc.max(pc.utf8_length(parts)).as_py() or 0)
