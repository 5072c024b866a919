"""Columns of times of any type, as text or as numbers."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

# Digits in a row, a day and a clock: Interactive Brokers, NinjaTrader and databases write them.
DIGITS = re.compile(r"(19|20)\d{6}(\d{4}|\d{6}|\d{9})?")


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without dictionary, views of strings and decimals that are whole."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if pa.types.is_decimal(column.type) and column.type.scale <= 0:
        column = column.cast(pa.int64())
    return column


def in_digits(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return numbers that are digits of a day and a clock, 20240102143000, as text; else None."""
    first = column[0].as_py()
    if first % 1 != 0 or DIGITS.fullmatch(str(int(first))) is None:
        return None
    return column.cast(pa.int64()).cast(pa.string())


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values of a column of any type as text."""
    return pc.utf8_trim_whitespace(plain(column).cast(pa.string()))


def day_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return days as text, without their midnight."""
    return pc.replace_substring_regex(as_text(column), r"[ T]00:00(:00(\.0+)?)?$", "")
