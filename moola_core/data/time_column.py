"""Which column of a table of bars is the time: by its name, else by its type and values."""

from __future__ import annotations

import re
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from moola_core.data.column_names import (
    DAY_AND_CLOCK,
    END_NAMES,
    FOREIGN_TIME_NAMES,
    INDEX_NAMES,
    PRICE_NAMES,
    TIME_NAMES,
)
from moola_core.data.layouts import Layout, Stamp
from moola_core.data.table_head import (
    Head,
    is_clock,
    is_epoch,
    is_part_of_day,
    is_serial,
    looks_like_date,
    looks_like_time,
    normalise,
)
from moola_core.errors import DataError

_ODD_TIME = re.compile(r"\d[-/:]\d")
_PRICE_WORDS = frozenset(name for names in PRICE_NAMES.values() for name in names)


def find_time(
    head: Head, names: list[str], layout: Layout, time_column: str | None
) -> tuple[tuple[int, ...], Stamp]:
    """Return where the time is, or a day and a clock, or nothing; and which end its name says.

    Raises:
        DataError: `time_column` is not there, a column is there twice, or two may be the time.
    """
    given = list(head.names or [])
    if time_column is not None:
        wanted = [i for i, name in enumerate(given) if name.strip() == time_column]
        wanted = wanted or [i for i, name in enumerate(names) if name == normalise(time_column)]
        if not wanted:
            raise DataError(
                f"{head.name}: --time-column {time_column}: no such column,"
                f" expected one of {', '.join(given)}; name one"
            )
        return (wanted[0],), "open"
    if layout.needs and layout.time:
        return tuple(_only(head, names, name) for name in layout.time), "open"
    pair = _day_and_clock(head, names)
    if pair:
        return pair, "open"
    for wanted_names, stamp in ((TIME_NAMES, "open"), (END_NAMES, "close")):
        for name in wanted_names:
            if name in names:
                return (_only(head, names, name),), "close" if stamp == "close" else "open"
    for i, name in enumerate(names):
        is_time = i in head.times or looks_like_time(_first(head, i))
        is_days = name in FOREIGN_TIME_NAMES and is_serial(_first(head, i))
        if is_days or (is_time and name in (*INDEX_NAMES, *FOREIGN_TIME_NAMES)):
            return (i,), "open"
    return _by_value(head, names), "open"


def _by_value(head: Head, names: list[str]) -> tuple[int, ...]:
    """Return the one column that can be the time by its type or values; empty if none can."""
    others = [i for i in range(len(names)) if names[i] not in _PRICE_WORDS]
    texts = [i for i in others if all(looks_like_date(one) for one in _values(head, i))]
    counts = [i for i in others if _counts_time(names[i], _values(head, i))]
    for some in (list(head.times), texts, counts):
        # A day of delivery and the like is the same in each row.
        changing = [i for i in some if len(set(_values(head, i))) == len(head.rows)]
        found = changing or some
        if len(found) == 1:
            return (found[0],)
        if found:
            given = [(head.names or [])[i] or f"the {i + 1}th" for i in found]
            raise DataError(
                f"{head.name}: columns {', '.join(given)} may be the time, expected one of a known"
                f" name; say which: --time-column {given[0]}"
            )
    _require_known(head, others)
    return ()


def _require_known(head: Head, columns: list[int]) -> None:
    """Refuse a table without a known time where a column may be one: it would be lost."""
    for i in columns:
        values = _values(head, i)
        if len(set(values)) == len(values) > 1 and all(_ODD_TIME.search(one) for one in values):
            name = (head.names or [])[i] or "(no name)"
            raise DataError(
                f"{head.name}: column {name}: {values[0]!r} may be a time of a form that is not"
                " known, expected one like 2024-01-31 09:30:00; write it so, or drop the column"
            )


def _counts_time(name: str, values: list[str]) -> bool:
    """Return whether whole numbers count from 1970: by the name, or since they rise as bars do."""
    if not values or not all(is_epoch(value) for value in values):
        return False
    if re.search(r"time|date|stamp|start|begin|epoch|unix", name):
        return True
    numbers = [float(value) for value in values]
    steps = [abs(b - a) for a, b in pairwise(numbers)]
    return len(steps) >= 2 and min(steps) > 0 and all(step % min(steps) == 0 for step in steps)


def _day_and_clock(head: Head, names: list[str]) -> tuple[int, ...]:
    """Return where a day and a time of day are, as text or as Excel counts them; or nothing."""
    for day, clock in DAY_AND_CLOCK:
        if day in names and clock in names:
            first = _first(head, names.index(clock))
            is_part = is_serial(_first(head, names.index(day))) and is_part_of_day(first)
            is_whole = looks_like_date(_first(head, names.index(day))) and first.isdigit()
            if is_clock(first) or is_part or (is_whole and len(first) <= len("143000")):
                return _only(head, names, day), _only(head, names, clock)
    return ()


def _only(head: Head, names: list[str], name: str) -> int:
    at = [i for i, one in enumerate(names) if one == name]
    if len(at) > 1:
        raise DataError(
            f"{head.name}: column {(head.names or [])[at[0]]} is there {len(at)} times,"
            " expected it once; drop or rename the others"
        )
    return at[0]


def _first(head: Head, column: int) -> str:
    return head.rows[0][column] if head.rows and column < len(head.rows[0]) else ""


def _values(head: Head, column: int) -> list[str]:
    return [row[column] for row in head.rows if column < len(row)]


def zone_in_name(where: str, name: str) -> str | None:
    """Return the zone that a column's name has in brackets: ``Time (EST)``, ``Date (Asia/Tokyo)``.

    ``(ms)``, ``(s)`` and words are none.

    Raises:
        DataError: it names no one zone, as CST does not.
    """
    found = re.search(r"[(\[]([A-Za-z]{3,4}|[A-Za-z]+/[A-Za-z_/]+)[)\]]\s*$", name)
    word = found[1] if found else ""
    if not ("/" in word or word.isupper()):
        return None
    try:
        return str(ZoneInfo("UTC" if word == "GMT" else word))
    except (ZoneInfoNotFoundError, ValueError, OSError) as err:
        raise DataError(
            f"{where}: column {name}: {word} is not the name of a single zone, expected one like"
            " America/Chicago; say which: --tz"
        ) from err
