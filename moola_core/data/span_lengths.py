"""Lengths of spans: in bars, or as times (seconds, 0:05, PT5M, a column of durations)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from moola_core.data.table_head import is_number
from moola_core.data.time_limits import SECOND
from moola_core.data.window_checks import Fault
from moola_core.errors import DataError
from moola_core.spans.intervals import IntArray

Unit = Literal["seconds", "bars"]
SECONDS_OF = {"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("bars", "candles", "samples", "frames"), "bars"),
}
_NUMBERS = frozenset(("bar", "candle", "sample", "frame", "row", "idx", "index"))  # of a bar
# Such as: length, duration_s, Duration (min), length in bars, num_bars, minutes.
_NAME = re.compile(
    r"(?:(?P<word>length|duration|len|dur)|num|number_of|n)?(?:_in)?_?[(\[]?(?P<unit>[a-z]+)?[)\]]?"
)
_CLOCK = re.compile(
    r"(?:(?P<d>\d+) days?,? *)?(?P<h>\d+):(?P<mi>[0-5]\d)(?::(?P<s>[0-5]\d(?:[.,]\d+)?))?"
)
_ISO = re.compile(
    r"P(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<mi>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?"
)
_PART = re.compile(r"(\d+(?:\.\d+)?) *([a-z]+)\s*")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
EXPECTED = "a length like 5 (with --unit bars or seconds), 0:05 (hours:minutes), 0:05:30 or PT5M"


def is_length(name: str) -> bool:
    """Return whether a column of that normalised name holds lengths."""
    found = _NAME.fullmatch(name)
    if found is None:
        return False
    unit, has_word = found["unit"] or "", found["word"] is not None
    return unit in _UNITS and (has_word or len(unit) > 1) if unit else has_word


def unit_in(name: str) -> str | None:
    """Return the unit that a column's name says: s, ms, min, h, d, bars."""
    found = _NAME.fullmatch(name)
    return _UNITS.get(found["unit"] or "") if found else None


def unit_of_word(word: str) -> str | None:
    """Return the unit that a word of a name is: s, ms, min, h, d, bars (also of a bar's number)."""
    return "bars" if word in _NUMBERS else _UNITS.get(word)


def read_lengths(
    path: Path, column: pa.ChunkedArray, name: str, unit: str | None, rows: Sequence[int]
) -> tuple[IntArray, bool]:
    """Return ``(N,)`` lengths in nanoseconds or in bars; and whether it is nanoseconds.

    Args:
        path: for messages.
        column: without nulls.
        name: its name, for messages.
        unit: what numbers count; None: not said.
        rows: of the file, for messages.

    Raises:
        DataError: a value is no length, or numbers have no unit.
    """
    if pa.types.is_duration(column.type):
        return column.cast(pa.duration("ns")).cast(pa.int64()).to_numpy(), True
    values = [str(value).strip() for value in column.to_pylist()]
    are_numbers = [is_number(value) and math.isfinite(float(value)) for value in values]
    if not any(are_numbers):
        seconds = [_seconds(value) for value in values]
        _refuse(path, name, values, rows, [one is None for one in seconds], EXPECTED)
        return np.array([round((one or 0) * SECOND) for one in seconds], dtype=np.int64), True
    _refuse(path, name, values, rows, [not one for one in are_numbers], "a number, as other rows")
    if unit is None:
        raise DataError(
            f"{path}: column {name}: numbers, {values[0]} the first, expected their unit to be"
            " known; say which: --unit bars or --unit seconds, or name it in the header, such as"
            " length_bars, duration_s, duration_min, duration_d (days, as Excel counts)"
        )
    numbers = np.array([float(value) for value in values])
    if unit == "bars":
        is_part = (numbers != np.rint(numbers)).tolist()
        _refuse(path, name, values, rows, is_part, "a whole number of bars")
        return numbers.astype(np.int64), False
    return np.rint(numbers * SECONDS_OF[unit] * SECOND).astype(np.int64), True


def with_point(text: str, unit: Unit) -> str:
    """Return a number with a point for decimals; bars are whole, so that 1,500 is bar 1500."""
    is_grouped = unit == "bars" and _GROUPED.fullmatch(text)
    return text.replace(",", "" if is_grouped else ".")


def require_plain(path: Path, texts: Sequence[str], name: str, rows: Sequence[int]) -> None:
    """Refuse seconds whose commas may all be for thousands, or for decimals.

    Raises:
        DataError: they may.
    """
    are_grouped = [_GROUPED.fullmatch(text) is not None for text in texts]
    if all(are_grouped[i] for i, text in enumerate(texts) if "," in text):
        expected = "a decimal point, since a comma may be one or be for thousands"
        _refuse(path, name, texts, rows, are_grouped, expected)


def _seconds(text: str) -> float | None:
    """Return the seconds of 0:05, 1 day 0:05:30.5, PT5M or 5m 30s; None of anything else."""
    found = _CLOCK.fullmatch(text) or (_ISO.fullmatch(text) if len(text) > 2 else None)
    if found:
        days, hours, minutes, seconds = (
            float((found[part] or "0").replace(",", ".")) for part in ("d", "h", "mi", "s")
        )
        return days * 86_400 + hours * 3600 + minutes * 60 + seconds
    parts = _PART.findall(text.lower())
    units = [SECONDS_OF.get(_UNITS.get(unit, "")) for _, unit in parts]
    if not parts or _PART.sub("", text.lower()) or None in units:
        return None
    return sum(float(number) * (unit or 0) for (number, _), unit in zip(parts, units, strict=True))


def _refuse(
    path: Path,
    name: str,
    values: Sequence[str],
    rows: Sequence[int],
    bad: Sequence[bool],
    expected: str,
) -> None:
    if any(bad):
        row = list(bad).index(True)
        fault = Fault(rows[row], name, repr(values[row]), expected)
        raise DataError(f"{path}: {fault}; fix that row")
