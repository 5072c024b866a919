"""Days and times of day of spans that stand in columns of their own."""

from __future__ import annotations

import re

import pyarrow as pa

from moola_core.data.span_names import words_in
from moola_core.data.table_head import is_clock, looks_like_date

DAYS = ("date", "day")
_CLOCKS = frozenset(("time", "clock"))
_MIDNIGHT = re.compile(r"[ T]00:00(:00(\.0+)?)?$")


def join_days(table: pa.Table) -> pa.Table:
    """Return the table with each end's day before its time of day, of ``start_date, start_time``.

    A day that stands for both ends, be it the start's, is named date.
    """
    words = [words_in(name) for name in table.column_names]
    ends = [[one for one in some if one not in (*DAYS, *_CLOCKS)] for some in words]
    days = [i for i, some in enumerate(words) if set(some) & set(DAYS) and ends[i]]
    clocks = [i for i in range(table.num_columns) if are_clocks(table.column(i))]
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
    return bool(texts) and all(is_clock(one) and ":" in one for one in texts)


def behind_days(days: pa.ChunkedArray, clocks: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times of day behind the day of their row."""
    pairs = zip(days.to_pylist(), clocks.to_pylist(), strict=True)
    texts = [at and f"{_MIDNIGHT.sub('', str(day or ''))} {at}" for day, at in pairs]
    return pa.chunked_array([pa.array(texts, pa.string())])


def _are_days(column: pa.ChunkedArray) -> bool:
    texts = [_MIDNIGHT.sub("", str(one)) for one in column.to_pylist() if one]
    return bool(texts) and all(looks_like_date(one) and ":" not in one for one in texts)
