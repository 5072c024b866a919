"""Days and times of day of spans that stand in columns of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

from moola_core.data.span_lengths import unit_of_word
from moola_core.data.span_names import STARTS, STOPS, SpanNames, words_in
from moola_core.data.table_head import is_time_of_day, looks_like_date
from moola_core.errors import DataError

DAYS = ("date", "day")
_CLOCKS = frozenset(("time", "clock"))
_HHMM = re.compile(r"([01]?\d|2[0-3])[0-5]\d([0-5]\d)?")
_MIDNIGHT = re.compile(r"[ T]00:00(:00(\.0+)?)?$")


def with_colons(path: Path, table: pa.Table) -> pa.Table:
    """Return the table with colons in times of day such as 0930 or 93000, beside days.

    Raises:
        DataError: they may be bar numbers as well.
    """
    names = SpanNames.of(table.column_names).names
    words = [words_in(name) for name in table.column_names]
    if not any(set(words[i]) & set(DAYS) and _are_days(table.column(i)) for i in range(len(names))):
        return table
    for i, given in enumerate(table.column_names):
        is_bar = any(unit_of_word(word) == "bars" for word in words[i])
        if is_bar or names[i] not in (*STARTS, *STOPS):
            continue
        texts = [None if one is None else str(one) for one in table.column(i).to_pylist()]
        there = [one for one in texts if one]
        if not there or not all(map(_HHMM.fullmatch, there)):
            continue
        longest = max(map(len, there))
        if not (_CLOCKS & set(words[i]) or longest > 4 or any(one[0] == "0" for one in there)):
            raise DataError(
                f"{path}: column {given}: {there[0]} may be a bar number or, behind its day, a time"
                " of day, expected what can be read in one way only; write 09:30, or drop the days"
            )
        texts = [
            one and ":".join(re.findall("..", one.zfill(4 + 2 * (longest > 4)))) for one in texts
        ]
        table = table.set_column(i, given, pa.array(texts, pa.string()))
    return table


def join_days(table: pa.Table) -> pa.Table:
    """Return the table with each end's day before its time of day, of ``start_date, start_time``.

    A day that stands for both ends, be it the start's, is named date.
    """
    words = [words_in(name) for name in table.column_names]
    ends = [[one for one in some if one not in (*DAYS, *_CLOCKS)] for some in words]
    days = [i for i, some in enumerate(words) if set(some) & set(DAYS) and ends[i]]
    clocks = [i for i in range(table.num_columns) if days and are_clocks(table.column(i))]
    pairs = [(day, at) for day in days for at in clocks if ends[day] == ends[at]]
    pairs = [(day, at) for day, at in pairs if _are_days(table.column(day))]
    if len(pairs) == 1 and len(clocks) > 1 and not {*map(tuple, words)} & {(one,) for one in DAYS}:
        names = [DAYS[0] if i == pairs[0][0] else one for i, one in enumerate(table.column_names)]
        return table.rename_columns(names)
    for day, at in pairs:
        joined = behind_days(table.column(day), table.column(at))
        table = table.set_column(at, table.column_names[at], joined)
    return table.select([i for i in range(table.num_columns) if i not in {day for day, _ in pairs}])


def are_clocks(column: pa.ChunkedArray) -> bool:
    """Return whether the values are times of day, such as 14:30."""
    texts = [str(one) for one in column.to_pylist() if one]
    return bool(texts) and all(map(is_time_of_day, texts))


def behind_days(days: pa.ChunkedArray, clocks: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times of day behind the day of their row."""
    pairs = zip(days.to_pylist(), clocks.to_pylist(), strict=True)
    texts = [at and f"{_MIDNIGHT.sub('', str(day or ''))} {at}" for day, at in pairs]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _are_days(column: pa.ChunkedArray) -> bool:
    texts = [_MIDNIGHT.sub("", str(one)) for one in column.to_pylist() if one]
    return bool(texts) and all(looks_like_date(one) and ":" not in one for one in texts)
