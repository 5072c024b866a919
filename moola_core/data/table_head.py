"""What is seen of a table before its layout is known, and the kinds that a value may be of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from moola_core.data.column_names import PRICE_NAMES, PRICES
from moola_core.errors import DataError

# Excel's days of 1970-01-01 and 2100-01-01; smaller numbers may be days since 1970, until 2040.
FIRST_SERIAL, END_SERIAL = 25_569, 73_051
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"


_STOREYS = re.compile(r"\('([^']*)', '([^']*)'\)")
# AAPL.Open of quantmod, Open_AAPL of yfinance's columns in one, BidOpen, bid.o of OANDA.
_OF_ONE = re.compile(
    r"(?P<a>.*[^ ._-])(?:[ ._-]*(?P<b>open|high|low|close)|\.(?P<c>[ohlc]))"
    r"|(?P<d>open|high|low|close)[ ._-]+(?P<e>.+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Head:
    """What is seen of a file before a layout is chosen.

    Attributes:
        name: of the file, with its folder, for messages.
        names: of the columns; None without a header.
        rows: the first rows as text, at least one.
        times: positions of columns that hold times by their type.
        tickers: whether a second header row names tickers (yfinance).
        is_chosen: whether the prices' names said the instrument, of which one was chosen.
    """

    name: str
    names: Sequence[str] | None
    rows: Sequence[Sequence[str]]
    times: Sequence[int] = ()
    tickers: bool = False
    is_chosen: bool = False


_UNIT = re.compile(r"^(open|high|low|close)\s*[(\[][^)\]]*[)\]]$", re.IGNORECASE)


def normalise(name: str) -> str:
    """Return a column's name as the tables have it: ``<OPEN>`` and ``1. open`` are open.

    A unit in brackets behind a price, ``Close (USD)``, does not count. Of the names
    ``('Close', 'AAPL')`` that pandas writes for two-storeyed columns the first counts, but of
    ``('AAPL', 'Close')`` the second.
    """
    storeys = _STOREYS.fullmatch(name)
    if storeys:
        is_second = storeys[2].lower() in PRICES and storeys[1].lower() not in PRICES
        name = storeys[2] if is_second else storeys[1]
    name = re.sub(r"^\d+\.\s*", "", name.strip().strip("\ufeff").strip("<>").strip())
    name = _UNIT.sub(r"\1", name)
    return re.sub(r"[\s_]+", "_", name.lower())


def choose_prices(where: str, names: Sequence[str], symbol: str | None) -> list[str] | None:
    """Return names whose prices are of one instrument, where each says its own: ``AAPL.Open``.

    Args:
        where: the file, for messages.
        names: of all columns.
        symbol: the instrument, of several; also bid or ask.

    Returns:
        The names, those of the four prices as ``open``; None where they say no instrument.

    Raises:
        DataError: there are several, and none of them is chosen.
    """
    places: dict[str, dict[str, int]] = {}
    for i, name in enumerate(names):
        for instrument, price in _instrument_and_price(name.strip()):
            places.setdefault(instrument, {})[price] = i
    whole = [name for name, prices in places.items() if len(prices) == len(PRICES)]
    plain = {normalise(name) for name in names if not _STOREYS.fullmatch(name)}
    if not whole or all(plain & set(known) for known in PRICE_NAMES.values()):
        return None
    chosen = [name for name in whole if name.lower() == (symbol or "").lower()]
    chosen = chosen or (whole if len(whole) == 1 and symbol is None else [])
    if not chosen:
        raise DataError(
            f"{where}: prices of {len(whole)} instruments ({', '.join(sorted(whole)[:5])}),"
            " expected one; say which: --symbol NAME"
        )
    taken = {place: price for price, place in places[chosen[0]].items()}
    others = {place for one in whole for place in places[one].values()}
    return [
        taken.get(i, f"{name} of others" if i in others else name) for i, name in enumerate(names)
    ]


def _instrument_and_price(name: str) -> list[tuple[str, str]]:
    storeys, found = _STOREYS.fullmatch(name), _OF_ONE.fullmatch(name)
    if storeys:
        pairs = [(storeys[1], storeys[2]), (storeys[2], storeys[1])]
        return [(a, b.lower()) for a, b in pairs if a and b.lower() in PRICES]
    if found is None:
        return []
    price = (found["b"] or found["c"] or found["d"]).lower()
    whole = next(one for one in PRICES if one.startswith(price))
    return [(found["a"] or found["e"], whole)]


_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(\s*[ap]\.?m\.?)?|\d{6}|\d{4}", re.IGNORECASE)
_DATE = re.compile(
    r"\d{4}[-./]\d{1,2}[-./]\d{1,2}.*|\d{1,2}[-./]\d{1,2}[-./]\d{2}(\D.*|\d\d.*)?"
    rf"|(19|20)\d{{6}}([ T-]\s*\d.*)?|\d{{1,2}}[-./ ]*({MONTHS})[a-z]*\.?[-./ ]*(\d\d){{1,2}}\b.*"
    rf"|\d{{4}}[-./ ]*({MONTHS})[a-z]*\.?[-./ ]*\d{{1,2}}\b.*"
    rf"|((mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?({MONTHS})[a-z]*\.?[- ]+\d{{1,2}}[-,]? ?"
    r"(\d\d:\d\d:\d\d .*)?\d{4}.*|\d{4}年\d{1,2}月\d{1,2}日.*",
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


def is_time_of_day(text: str) -> bool:
    """Return whether `text` is a time of day with a colon, which no number is."""
    return ":" in text and is_clock(text)


def is_epoch(text: str) -> bool:
    """Return whether `text` counts seconds, or parts of one, since 1970, as from 1973 on."""
    return is_number(text) and abs(float(text)) >= 1e8


def is_of_day(text: str) -> bool:
    """Return whether `text` may count the milliseconds of a day, in whole seconds."""
    return text.isdigit() and int(text) < 86_400_000 and int(text) % 1000 == 0


def day_in_name(path: str) -> str | None:
    """Return the day in a file's name where Lean's have it: 20240102 of ``20240102_trade.zip``."""
    found = re.search(r"(?:^|[/\\])(\d{8})_(?:\w+_)?(?:trade|quote)\.(?:zip|csv)$", path)
    return found[1] if found else None


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
