"""Times as text: taken apart, and counted in nanoseconds."""

from __future__ import annotations

import datetime as dt
import re
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from moola_core.data.table_head import MONTHS
from moola_core.data.time_limits import DAY_NS, SECOND
from moola_core.spans.intervals import BoolArray, IntArray

# 02JAN2024 as well, but not the Juneau of a zone.
MONTH_NAME = re.compile(rf"(?<![a-z_])(?<![a-z]/)({MONTHS})[a-z]*(?![a-z_])", re.IGNORECASE)
_CLOCK = (
    r"(?:[T,\s]+(?P<h>\d{1,2}):?(?P<mi>\d{2})(?::?(?P<s>\d{2})(?:[.,:](?P<f>\d{1,9})\d*)?)?"
    r"(?:\s*(?P<p>[ap])\.?m\.?)?)?"
    r"\s*(?:(?P<z>Z|UTC|GMT|(?:GMT|UTC)?[+-]\d{1,2}:?(?:\d{2})?|[A-Za-z_]+/[A-Za-z_/]+)"
    # the same once more: Z[UTC], -05:00[America/New_York] (RFC 9557, Java), -0500 EST (Go)
    r"(?:\[[\w/+-]+\]|\s[A-Z]{3,4})?)?$"
)
_YEAR_FIRST = r"^(?P<y>\d{4})[-./]?(?P<a>\d{1,2})[-./]?(?P<b>\d{1,2})" + _CLOCK
_YEAR_LAST = r"^(?P<a>\d{1,2})[-./](?P<b>\d{1,2})[-./](?P<y>\d{4}|\d{2})" + _CLOCK
# 202401021430, 20240102143000123; 20240102-14:30:00 of FIX and of Interactive Brokers' API,
# 20240102;143000 of their reports
_RUN = re.compile(r"\d{8}((\d\d){2,3}$|\d{9}$|-\d\d:|;\d{6}$)")
_DOTTED = r"^(\S+\s+\d{1,2})\.(\d\d)(?:\.(\d\d))?\b"  # 14.30.00 of Oracle and of Italy
_YEAR_BEHIND = r"^([A-Za-z]+\s+\d{1,2})(\s+\d\d:\d\d:\d\d(?:\s\S+)?)\s+(\d{4})$"
_DAY_OF_YEAR = re.compile(r"\d{4}[-./]?\d{3}(?!\d)")
_DAY = re.compile(r"\s*(\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4})\s*")
_SHORT = re.compile(r"\d{1,2}[./]\d{1,2}[./]\d{2}(?!\d)")


def split_times(column: pa.ChunkedArray) -> tuple[pa.StructArray, bool]:
    """Take times apart: y, a, b (the rest of the day), h, mi, s, f, p (of am, pm), z.

    Returns:
        A struct of strings, null where a value is no time; whether the year stands last, so that
        `a` is the day or the month.
    """
    if pc.match_substring(column[:1], "年")[0].as_py():
        column = pc.replace_substring_regex(column, r"^(\d+)年(\d+)月(\d+)日", r"\1-\2-\3")
    first = column[0].as_py()
    if _RUN.match(first):
        column = pc.replace_substring_regex(column, r"^(\d{14})(\d{3})$", r"\1.\2")
        column = pc.replace_substring_regex(column, r"^(\d{8})[-;]?(\d)", r"\1 \2")
    elif _DAY_OF_YEAR.match(first):  # 2024-123 is no third of December
        column = pc.replace_substring_regex(column, r"^\d+[-./]?", "")
    has_name = MONTH_NAME.search(first) is not None
    if has_name:
        column = _with_numbers(column)
        first = column[0].as_py()
    if re.match(_DOTTED, first):
        column = pc.replace_substring_regex(column, _DOTTED, r"\1:\2:\3")
        column = pc.replace_substring_regex(column, r":(\D|$)", r"\1")
    if re.search(r"[AaPp]\.?[Mm]\.?(\s|$)", first):
        column = pc.replace_substring_regex(column, r"A(\.?)M(\.?)(\s|$)", r"a\1m\2\3")
        column = pc.replace_substring_regex(column, r"P(\.?)M(\.?)(\s|$)", r"p\1m\2\3")
    is_year_last = re.match(r"\d{1,2}[-./]\d{1,2}[-./]\d{4}", first) is not None
    is_year_last |= has_name or _SHORT.match(first) is not None
    parts = pc.extract_regex(column, _YEAR_LAST if is_year_last else _YEAR_FIRST)
    return parts.combine_chunks() if isinstance(parts, pa.ChunkedArray) else parts, is_year_last


def day_or_month(
    first: str, a: IntArray, b: IntArray, said: str | None
) -> Literal["dmy", "mdy"] | None:
    """Return which of day and month stands first in dates whose year stands last; None: either.

    Args:
        first: the first value.
        a: ``(T,)``, the first number of each.
        b: ``(T,)``, the second.
        said: by the user; of numbers alone, not of names of months.
    """
    if MONTH_NAME.search(first):
        return "dmy"  # as `split_times` has them
    if said in ("dmy", "mdy"):
        return "dmy" if said == "dmy" else "mdy"
    if _SHORT.match(first):
        return None  # 24/01/02 may begin with its year, too
    if re.match(r"\d{1,2}\.", first):
        return "dmy"  # 02.01.2024 is written so in no country that has the month first
    if (a > 12).any() != (b > 12).any():
        return "dmy" if (a > 12).any() else "mdy"
    return None


def digits_of(clock: pa.ChunkedArray) -> int:
    """Return how many digits times of day have, zeros in front among them (930 is 0930), or 0."""
    if pc.any(pc.match_substring(clock, ":")).as_py():
        return 0
    longest = int(pc.max(pc.utf8_length(clock)).as_py() or 0)
    return 4 if longest <= len("1430") else 6


def _with_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return it with months as numbers: ``Tue, 02 Jan 2024``, ``Jan 2, 2024`` are 02-01-2024.

    The year may stand behind the clock (``Jan 2 14:30:00 UTC 2024``, of C and of Unix), and the
    zone's name in brackets behind all (JavaScript).
    """
    day = r"(?i)^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+"
    column = pc.replace_substring_regex(column, day, "")
    column = pc.replace_substring_regex(column, r"\s*\([^)]*\)$", "")
    column = pc.replace_substring_regex(column, _YEAR_BEHIND, r"\1 \3\2")
    for number, month in enumerate(MONTHS.split("|"), 1):
        name = rf"(?i:{month})[a-z]*\.?"
        year = r"[-,./\s]*(\d{4}|\d{2})\b"
        for form, day in (
            (rf"^(\d{{1,2}})[-./\s]*{name}{year}", rf"\1-{number:02}-\2"),
            (rf"^{name}[-\s]+(\d{{1,2}}){year}", rf"\1-{number:02}-\2"),
            (rf"^(\d{{4}})[-./\s]*{name}[-./\s]*(\d{{1,2}})\b", rf"\2-{number:02}-\1"),
        ):
            column = pc.replace_substring_regex(column, form, day)
    # 02JAN2024:14:30:00 of SAS, 02/Jan/2024:14:30:00 of a server's log
    return pc.replace_substring_regex(column, r"^(\d{1,2}-\d\d-\d{4}):", r"\1 ")


def are_days(column: pa.ChunkedArray) -> bool:
    """Return whether times are days without a time of day; times of a type: all midnights."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        count = column.cast(pa.timestamp("ns", tz=kind.tz)).cast(pa.int64()).to_numpy()
        return kind.tz is None and bool((count % DAY_NS == 0).all())
    texts = (str(value or "") for value in column.to_pylist())
    return pa.types.is_date(kind) or all(map(_DAY.fullmatch, texts))


def whole(parts: pa.StructArray, name: str) -> IntArray:
    """Return one part of N times, such as the hour, as integers ``(N,)``; 0 where it is absent."""
    text = parts.field(name)
    text = pc.if_else(pc.equal(text, ""), "0", text)
    return text.cast(pa.int64()).to_numpy(zero_copy_only=False)


def count_ns(parts: pa.StructArray, month: IntArray, day: IntArray) -> tuple[IntArray, BoolArray]:
    """Nanoseconds since 1970 of the local clock ``(N,)``, and which rows are a time ``(N,)``."""
    year, hour, minute, second = (whole(parts, name) for name in ("y", "h", "mi", "s"))
    is_past = year + 2000 <= (dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1)).year
    year = np.where(year >= 100, year, np.where(is_past, year + 2000, year + 1900))
    half = parts.field("p")
    is_late, is_early = (
        np.asarray(pc.equal(half, letter).to_numpy(zero_copy_only=False), dtype=bool)
        for letter in ("p", "a")
    )
    is_twelve = is_late | is_early
    is_clock = ~is_twelve | ((hour >= 1) & (hour <= 12))
    hour = np.where(is_twelve, hour % 12 + 12 * is_late, hour)
    fraction = (
        pc.utf8_rpad(parts.field("f"), 9, "0").cast(pa.int64()).to_numpy(zero_copy_only=False)
    )
    safe = np.clip(month, 1, 12)
    months = ((year - 1970) * 12 + safe - 1).astype("datetime64[M]")
    last = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    is_time = (month == safe) & (day >= 1) & (day <= last) & (year >= 1678) & (year <= 2261)
    is_time &= is_clock & (hour < 24) & (minute < 60) & (second < 60)
    days = months.astype("datetime64[D]").astype(np.int64) + day - 1
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    return np.where(is_time, seconds, 0) * SECOND + fraction, is_time
