"""What is seen of a table before its layout is known, and the kinds that a value may be of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Excel's days of 1970-01-01 and 2100-01-01; smaller numbers may be days since 1970, until 2040.
FIRST_SERIAL, END_SERIAL = 25_569, 73_051
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"


@dataclass(frozen=True)
class Head:
    """What is seen of a file before a layout is chosen.

    Attributes:
        name: of the file, with its folder, for messages.
        names: of the columns; None without a header.
        rows: the first rows as text, at least one.
        times: positions of columns that hold times by their type.
        tickers: whether a second header row names tickers (yfinance).
    """

    name: str
    names: Sequence[str] | None
    rows: Sequence[Sequence[str]]
    times: Sequence[int] = ()
    tickers: bool = False


_PRICES = ("open", "high", "low", "close")
_UNIT = re.compile(r"^(open|high|low|close)\s*[(\[][^)\]]*[)\]]$", re.IGNORECASE)


def normalise(name: str) -> str:
    """Return a column's name as the tables have it: ``<OPEN>`` and ``1. open`` are open.

    A unit in brackets behind a price, ``Close (USD)``, does not count. Of the names
    ``('Close', 'AAPL')`` that pandas writes for two-storeyed columns the first counts, but of
    ``('AAPL', 'Close')`` the second.
    """
    storeys = re.fullmatch(r"\('([^']*)', '([^']*)'\)", name)
    if storeys:
        is_second = storeys[2].lower() in _PRICES and storeys[1].lower() not in _PRICES
        name = storeys[2] if is_second else storeys[1]
    name = re.sub(r"^\d+\.\s*", "", name.strip().strip("\ufeff").strip("<>").strip())
    name = _UNIT.sub(r"\1", name)
    return re.sub(r"[\s_]+", "_", name.lower())


_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(\s*[ap]\.?m\.?)?|\d{6}|\d{4}", re.IGNORECASE)
_DATE = re.compile(
    r"\d{4}[-./]\d{1,2}[-./]\d{1,2}.*|\d{1,2}[-./]\d{1,2}[-./]\d{2}(\D.*|\d\d.*)?"
    rf"|(19|20)\d{{6}}([ T-]\s*\d.*)?|\d{{1,2}}[- ]({MONTHS})[a-z]*\.?[- ](\d\d){{1,2}}\b.*"
    rf"|((mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?({MONTHS})[a-z]*\.? +\d{{1,2}},? "
    r"(\d\d:\d\d:\d\d .*)?\d{4}.*",
    re.IGNORECASE,
)


def is_number(text: str) -> bool:
    """Return whether `text` is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_clock(text: str) -> bool:
    """Return whether `text` is a time of day alone: 14:30, 14:30:00, 2:30 PM, 143000."""
    return _CLOCK.fullmatch(text.strip()) is not None


def is_epoch(text: str) -> bool:
    """Return whether `text` counts seconds, or parts of one, since 1970, as from 1973 on."""
    return is_number(text) and abs(float(text)) >= 1e8


def is_serial(text: str) -> bool:
    """Return whether `text` counts days as Excel does, from 1970 to 2100."""
    number = text.replace(",", ".", 1)
    return is_number(number) and FIRST_SERIAL <= float(number) < END_SERIAL


def is_part_of_day(text: str) -> bool:
    """Return whether `text` is a time of day as Excel counts it: 0.604166667 is 14:30."""
    number = text.replace(",", ".", 1)
    return is_number(number) and 0 <= float(number) < 1


def looks_like_date(text: str) -> bool:
    """Return whether `text` is a date, with or without a time of day."""
    return _DATE.fullmatch(text.strip()) is not None


def looks_like_time(text: str) -> bool:
    """Return whether `text` is a date, with or without a time of day, or counts from 1970."""
    return looks_like_date(text) or is_epoch(text)
