"""Labels per bar: a row for each bar, with its time and the label it has; 0 or empty outside spans.

Bars in a row with one label are a span. Letters: N rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from moola_core.data.bar_tags import BarWords, tagged
from moola_core.data.column_names import INDEX_NAMES, TIME_NAMES
from moola_core.data.series import Bars
from moola_core.data.time_limits import in_utc
from moola_core.errors import DataError
from moola_core.spans.intervals import IntArray

# Where a row is; names like start_time are of lists of spans that lack their end.
PLACES = (
    *(name for name in TIME_NAMES if not name.startswith(("start", "begin", "period_start"))),
    *("bar", "bar_number", "bar_index", "sample", "frame", *INDEX_NAMES),
)
MISSING = frozenset(("", "nan", "n/a", "#n/a", "<na>", "nat"))  # of BIDS, Excel, pandas, polars
OUTSIDE = MISSING | {"0", "-0", "false", "none", "null", "na"}
MASK = frozenset(("1", "true"))
_WHOLE = re.compile(r"([+-]?\d+)\.0*")


def place_in(names: Sequence[str]) -> str | None:
    """Return the normalised name of the column that says which bar a row is, if there is one."""
    return next((name for name in PLACES if name in names), None)


def words_of_bars(path: Path, values: Sequence[object], mask_word: str) -> BarWords:
    """Return the label of each row, and where tags part spans.

    Args:
        path: for messages.
        values: the column.
        mask_word: the label that 1 and true stand for, where there is no other; and B and I.

    Raises:
        DataError: no row is within a span, or each one is.
    """
    words = [word_of(value, OUTSIDE) for value in values]
    used = set(words) - {""}
    if not used:
        raise DataError(
            f"{path}: holds no span, expected a label in at least 1 row, got 0 or none in all;"
            " mark some"
        )
    tags = tagged(words, mask_word)
    if tags is not None:
        return tags
    if "" not in words:
        some = ", ".join(sorted(used)[:3])
        raise DataError(
            f"{path}: each row has a label ({some}), expected 0, none or nothing at bars outside"
            " spans, as labels per bar have; write it there, or write the spans: start,end,label"
        )
    if all(word.lower() in MASK for word in used):
        words = [mask_word if word else "" for word in words]
    return BarWords.of(words)


def runs_of(labels: BarWords) -> IntArray:
    """Return ``(M, 2)`` rows, half-open, of the runs of one label that is not empty."""
    words, begins, ends = labels.words, labels.begins, labels.ends
    changes = [
        i for i in range(1, len(words)) if words[i] != words[i - 1] or begins[i] or ends[i - 1]
    ]
    runs = [(a, b) for a, b in pairwise([0, *changes, len(words)]) if words[a]]
    return np.array(runs, dtype=np.int64).reshape(-1, 2)


def bars_at(path: Path, name: str, place: IntArray, is_time: bool, bars: Bars) -> IntArray:
    """Return ``(N,)`` the bar of each row: -1 before the series, its length and more behind.

    Args:
        path: for messages.
        name: of the column, for messages.
        place: ``(N,)`` bar numbers, or nanoseconds since 1970, in any order.
        is_time: which of both.
        bars: the series.

    Raises:
        DataError: no bar opens at a row's time, two rows are of one bar, or a bar has no row.
    """
    found = place
    if is_time:
        assert bars.time is not None
        found = np.searchsorted(bars.time, place, side="left")
        found = np.where(place < bars.time[0], -1, found)
        is_within = (found >= 0) & (found < len(bars))
        opens = bars.time[np.clip(found, 0, len(bars) - 1)]
        row = _first(is_within & (opens != place))
        if row is not None:
            raise DataError(
                f"{path}: row {row}, column {name}: {in_utc(place[row])} UTC, expected the time at"
                " which a bar of the series opens; give the labels the times of --bars"
            )
    order = np.argsort(place, kind="stable")
    step = np.diff(found[order])
    row = _first(np.diff(place[order]) == 0)
    if row is not None:
        raise DataError(
            f"{path}: rows {order[row]} and {order[row + 1]}, column {name}: of one bar, expected"
            " one row a bar; drop one, or the other instruments"
        )
    is_within = (found[order] >= 0) & (found[order] < len(bars))
    row = _first((step > 1) & is_within[:-1] & is_within[1:])
    if row is not None:
        after = int(found[order][row]) + 1
        when = "" if bars.time is None else f" ({in_utc(bars.time[after])} UTC)"
        raise DataError(
            f"{path}: column {name}: no row for bar {after}{when}, expected one for each bar from"
            " the first row's to the last's, as labels per bar have; export all rows, with label 0"
            " outside spans, or write the spans: start,end,label"
        )
    return found


def word_of(value: object, none: Collection[str] = MISSING) -> str:
    """Return a value as a word: nothing for what is missing, 1 for 1.0, as float columns have it.

    Args:
        value: as its file has it.
        none: what is no word, in lower case.
    """
    if isinstance(value, list):  # of several words none is the type
        value = value[0] if len(value) == 1 else None
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    text = "" if value is None else text.strip()
    whole = _WHOLE.fullmatch(text)
    text = whole[1] if whole else text
    return "" if text.lower() in none else text


def _first(is_wrong: np.ndarray) -> int | None:
    return int(np.argmax(is_wrong)) if is_wrong.any() else None
