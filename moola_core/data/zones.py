"""Zones of times: offsets, and the hour that clocks show twice."""

from __future__ import annotations

import re
from typing import Literal
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from moola_core.data.time_limits import DAY_NS
from moola_core.errors import ConfigError
from moola_core.spans.intervals import BoolArray, IntArray

Fold = Literal["0", "1", "order"]


def resolve_fold(
    local: IntArray, first: IntArray, second: IntArray, fold: Fold | None
) -> tuple[IntArray, BoolArray]:
    """Choose among two readings of local times where clocks go back.

    Args:
        local: ``(T,)`` nanoseconds of the local clock.
        first: ``(T,)`` UTC, the earlier reading.
        second: ``(T,)`` UTC, the later one; equal where there is one.
        fold: which is meant.

    Returns:
        ``(T,)`` the chosen instants; ``(T,)`` which rows are still open.
    """
    twice = first != second
    none = np.zeros(len(local), dtype=bool)
    if fold == "0" or not twice.any():
        return first, none
    if fold == "1":
        return second, none
    if fold is None:
        return first, twice
    # In rising rows the clock falls once in each run of twofold times: from there on the second.
    falls = np.diff(local, prepend=local[:1]) < 0
    begins = twice & ~np.concatenate([[False], twice[:-1]])
    run = np.cumsum(begins)
    seen = np.cumsum(falls & twice)
    before = np.concatenate([[0], seen[np.flatnonzero(begins)] - falls[begins]])[run]
    is_second = twice & (seen > before)
    fell = np.bincount(run[twice], weights=falls[twice], minlength=run.max() + 1) > 0
    return np.where(is_second, second, first), twice & ~fell[run]


def known(zone: str) -> str:
    """Return a zone as the IANA list has it, where a file has capitals alone, as Oracle does."""
    same = (one for one in available_timezones() if one.upper() == zone)
    return next(same, zone) if zone.isupper() else zone


def readings(count: IntArray, zone: str) -> tuple[pa.TimestampArray, IntArray, IntArray, BoolArray]:
    """Read times of a zone's clocks.

    Returns:
        ``(T,)`` the local times; the instants that they may be, the earlier and the later one;
        which of them clocks jump over.

    Raises:
        ConfigError: there is no such zone.
    """
    local = pa.array(count, pa.timestamp("ns"))
    try:
        early, late = (
            pc.assume_timezone(local, zone, ambiguous=which, nonexistent=which)
            for which in ("earliest", "latest")
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as err:
        raise ConfigError(
            f"--tz {zone}: no such zone, expected a name like America/New_York or UTC;"
            " look it up in the IANA list"
        ) from err
    back = pc.local_timestamp(early).cast(pa.int64()).to_numpy()
    first, second = (one.cast(pa.int64()).to_numpy() for one in (early, late))
    return local, first, second, back != count


def earlier_by(length_ns: int, time: IntArray, zone: str) -> IntArray:
    """Return instants ``(T,)`` by one length earlier; by days on the clocks of a zone.

    A day on which clocks are moved has 23 or 25 hours.
    """
    if length_ns % DAY_NS:
        return time - length_ns
    local = pc.local_timestamp(pa.array(time, pa.timestamp("ns", tz=zone))).cast(pa.int64())
    earlier = pa.array(local.to_numpy() - length_ns, pa.timestamp("ns"))
    found = pc.assume_timezone(earlier, zone, ambiguous="earliest", nonexistent="latest")
    return found.cast(pa.int64()).to_numpy()


def offset_ns(zone: str) -> int | None:
    """Return what a zone's text adds to UTC, if it is an offset."""
    found = re.fullmatch(r"(?:GMT|UTC)?([+-])(\d{1,2}):?(\d{2})?", zone)
    if found is None:
        return 0 if zone in ("Z", "UTC", "GMT") else None
    minutes = int(found[2]) * 60 + int(found[3] or 0)
    return (-1 if found[1] == "-" else 1) * minutes * 60 * 1_000_000_000


def offset_name(offset: int) -> str:
    """Return an offset as pyarrow has zones: UTC, -05:00."""
    if offset == 0:
        return "UTC"
    minutes = abs(offset) // (60 * 1_000_000_000)
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"
