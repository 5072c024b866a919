"""Which layout a file of bars is of: by its header, or by the kind of its first values."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from moola_core.data.column_names import PRICE_NAMES, PRICES, SYMBOL_NAMES
from moola_core.data.layouts import (
    BARE,
    BARE_TABLE,
    HEADED,
    HISTDATA_ZONE,
    NAMES,
    TABLE,
    TRADINGVIEW,
    YFINANCE,
    Layout,
    Stamp,
)
from moola_core.data.table_head import (
    Head,
    day_in_name,
    is_clock,
    is_epoch,
    is_number,
    is_of_day,
    looks_like_time,
    normalise,
)
from moola_core.data.time_column import find_time
from moola_core.errors import ConfigError, DataError


@dataclass(frozen=True)
class Columns:
    """Where in a file's columns the bars are: positions from 0.

    Attributes:
        layout: the one that was recognised or named.
        prices: of open, high, low, close.
        time: of the time, of a day and a clock, or of nothing.
        symbol: of the name of what was traded, if the file has one.
        stamp: whether times are those of the bars' opens or closes.
        instrument: what the first row says was traded.
        day: 20240102, of which times are milliseconds.
    """

    layout: Layout
    prices: tuple[int, int, int, int]
    time: tuple[int, ...] = ()
    symbol: int | None = None
    stamp: Stamp = "open"
    instrument: str | None = None
    day: str | None = None


def choose(head: Head, layout: str | None = None, time_column: str | None = None) -> Columns:
    """Return where the bars are, by the layout of that name or by the first that fits.

    Raises:
        ConfigError: there is no layout of that name.
        DataError: a column is missing or there twice, or two layouts fit.
    """
    if layout is not None and layout not in NAMES:
        raise ConfigError(
            f"--layout {layout}: no such layout, expected {', '.join(NAMES)}; or leave it out"
        )
    if head.names is None:
        return _choose_bare(head, layout)
    names = [normalise(name) for name in head.names]
    fitting = [one for one in HEADED if _fits(one, names) and layout in (None, one.name)]
    named = [one for one in HEADED if one.name == layout]
    if named and not fitting:
        missing = min(named[0].needs - set(names), default="") or min(named[0].any_of)
        raise DataError(
            f"{head.name}: column {missing} is missing,"
            f" expected the layout {layout}, got {', '.join(head.names)}; leave --layout out"
        )
    chosen = fitting[0] if fitting else TABLE
    if chosen is TABLE and head.tickers:
        chosen = YFINANCE
    elif layout == "tradingview" or (layout is None and names[:5] == ["time", *PRICES]):
        chosen = TRADINGVIEW if chosen is TABLE else chosen
    bare = [one for one in BARE if one.name == layout]
    if bare:  # named, and the file has a header: what it says of zone and stamp holds
        chosen = bare[0]
    prices = tuple(_find_price(head, names, price) for price in PRICES)
    time, stamp = find_time(head, names, chosen, time_column)
    symbols = [names.index(name) for name in SYMBOL_NAMES if name in names]
    return Columns(
        chosen,
        (prices[0], prices[1], prices[2], prices[3]),
        time,
        symbols[0] if symbols else None,
        "close" if stamp == "close" else chosen.stamp,
        head.rows[0][symbols[0]] if symbols and head.rows else None,
    )


def require_instruments(head: Head, columns: Columns, symbol: str | None) -> None:
    """Refuse a `symbol` to choose where nothing says of which instrument a bar is.

    Raises:
        DataError: there is no such column.
    """
    is_chosen = columns.symbol is not None or head.tickers or head.is_chosen
    if symbol is not None and not is_chosen:
        raise DataError(
            f"{head.name}: --symbol {symbol}: no column of instruments, expected one named"
            f" {', '.join(SYMBOL_NAMES[:4])} ...; rename it, or leave --symbol out"
        )


def _fits(layout: Layout, names: list[str]) -> bool:
    return layout.needs <= set(names) and (not layout.any_of or bool(layout.any_of & set(names)))


def _find_price(head: Head, names: list[str], price: str) -> int:
    for name in PRICE_NAMES[price]:
        at = [i for i, one in enumerate(names) if one == name]
        if len(at) > 1:
            exact = [i for i in at if (head.names or [])[i] == price]
            if len(exact) != 1:
                raise DataError(
                    f"{head.name}: column {(head.names or [])[at[0]]} is there {len(at)} times,"
                    " expected it once; drop or rename the others"
                )
            return exact[0]
        if at:
            return at[0]
    raise DataError(
        f"{head.name}: column {price} is missing, expected open, high, low, close"
        f" (and timestamp, if known), got {', '.join(head.names or [])}; rename it"
    )


def _choose_bare(head: Head, layout: str | None) -> Columns:
    row = [value.strip() for value in head.rows[0]]
    if layout == "table":
        return _bare_table(head, row)
    width = len(row)
    fitting = [
        one
        for one in BARE
        if layout in (None, one.name) and _is_of_kind(one, row) and len(one.columns) == width
        if day_in_name(head.name) is not None or not one.of_day
    ]
    if layout is not None and not fitting:
        raise DataError(
            f"{head.name}: row 0: expected the layout {layout}, got {width} values,"
            f" the first {row[0]!r}; leave --layout out"
        )
    if layout is None and len(fitting) > 1:
        fitting = [one for one in fitting if _is_possible(one, head.rows)] or fitting
    by_name = [one for one in fitting if _file_is_of(one, head.name)]
    fitting = by_name or fitting
    if len(fitting) > 1:
        names = " or ".join(one.name for one in fitting)
        raise DataError(
            f"{head.name}: no header, and its first rows fit more than one layout,"
            f" expected one to be named; say which: --layout {names}"
        )
    if not fitting:
        return _bare_table(head, row)
    chosen = fitting[0]
    if chosen.name == "metatrader4" and _is_histdatas(head.name):
        chosen = replace(chosen, zone=HISTDATA_ZONE)
    return _of_bare(chosen, day_in_name(head.name) if chosen.of_day else None)


def _of_bare(layout: Layout, day: str | None) -> Columns:
    places = {name: i for i, name in enumerate(layout.columns) if name != "_"}
    time = tuple(places[name] for name in ("time", "day", "clock") if name in places)
    opened, high, low, close = (places[price] for price in PRICES)
    return Columns(layout, (opened, high, low, close), time, None, layout.stamp, None, day)


def _bare_table(head: Head, row: list[str]) -> Columns:
    has_time = looks_like_time(row[0]) and len(row) >= 5
    first = has_time + (has_time and len(row) >= 6 and _has_clock(head, row))
    if len(row) < first + 4 or not all(is_number(value) for value in row[first : first + 4]):
        raise DataError(
            f"{head.name}: row 0: no header, and the layout is not known, expected a time and then"
            f" open, high, low, close, got {', '.join(row)[:80]}; add a header"
        )
    places = tuple(range(first))
    return Columns(BARE_TABLE, (first, first + 1, first + 2, first + 3), places)


def _has_clock(head: Head, row: list[str]) -> bool:
    """Return whether the second value is a time of day, and not a whole price such as 4725."""
    is_day = ":" not in row[0] and re.match(r"\d{8}[T ]\d", row[0]) is None
    if not is_day or is_epoch(row[0]) or not is_clock(row[1]):
        return False
    if ":" in row[1]:
        return True
    behind, here = (Layout("", columns=("_",) * first + PRICES) for first in (2, 1))
    return _is_possible(behind, head.rows) or not _is_possible(here, head.rows)


_BY_FIRST: dict[str, Callable[[list[str]], bool]] = {
    "lean": lambda row: is_of_day(row[0]) and all(map(is_number, row)),
    "lean-quote": lambda row: is_of_day(row[0]) and is_number(row[1]),
    "histdata": lambda row: re.fullmatch(r"\d{8} \d{6}", row[0]) is not None,
    "ninjatrader": lambda row: re.fullmatch(r"\d{8} \d{6}", row[0]) is not None,
    "metatrader4": lambda row: (
        re.fullmatch(r"\d{4}\.\d\d\.\d\d", row[0]) is not None and is_clock(row[1])
    ),
}


def _is_of_kind(layout: Layout, row: list[str]) -> bool:
    test = _BY_FIRST.get(layout.name)
    if test is not None:
        return test(row)
    return is_epoch(row[0]) and all(is_number(value) for value in row)


def _is_possible(layout: Layout, rows: Sequence[Sequence[str]]) -> bool:
    """Return whether every row, read that way, has its high on top and its low below."""
    opened, high, low, close = (layout.columns.index(price) for price in PRICES)
    for row in rows:
        try:
            values = [float(row[i]) for i in (opened, high, low, close)]
        except (ValueError, IndexError):
            continue
        if values[1] < max(values) or values[2] > min(values):
            return False
    return True


def _file_is_of(layout: Layout, name: str) -> bool:
    if layout.name == "histdata":
        return _is_histdatas(name)
    return layout.name == "ninjatrader" and re.search(r"\.(Last|Bid|Ask)\.", name) is not None


def _is_histdatas(name: str) -> bool:
    """Return whether a file is named as HistData names its own, and their archives."""
    return re.search(r"(^|[/\\])(DAT_(ASCII|MT|NT)|HISTDATA_COM)_[^/\\]*$", name) is not None
