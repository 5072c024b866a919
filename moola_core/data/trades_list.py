"""TradingView's list of trades: two rows a trade, an entry and an exit, in either order.

Read from exports of its strategy tester of two generations: ``Trade #, Type, Signal, Date/Time``
and ``Trade number, Type, Date and time, Signal``. The type of a span is long or short.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moola_core.data.window_checks import Fault
from moola_core.errors import DataError

NUMBER = ("trade_#", "trade_number", "trade")
TIME = ("date/time", "date_and_time", "datetime")
_TYPE = re.compile(r"(entry|exit)\s+(long|short)", re.IGNORECASE)


@dataclass
class Trade:
    """One trade; an open one has no exit.

    Attributes:
        row: of its entry in the file, from 0.
        start, stop: times, as the file has them.
        side: long or short.
    """

    row: int
    start: str | None = None
    stop: str | None = None
    side: str = ""


def places_of(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Return where number, type and time are among normalised names; None: no list of trades."""
    found = [
        next((names.index(one) for one in known if one in names), -1)
        for known in (NUMBER, ("type",), TIME)
    ]
    return None if -1 in found else (found[0], found[1], found[2])


def read_trades(
    path: Path,
    numbers: Sequence[str | None],
    types: Sequence[str | None],
    times: Sequence[str | None],
) -> list[Trade]:
    """Return the trades in the order of the file; an exit that says Open ends none.

    Raises:
        DataError: a row is neither an entry nor an exit, or a trade has two of one.
    """
    trades: dict[str, Trade] = {}
    for row, (number, kind, time) in enumerate(zip(numbers, types, times, strict=True)):
        found = _TYPE.fullmatch((kind or "").strip())
        if found is None:
            fault = Fault(row, "Type", repr(kind), "Entry long, Exit long, Entry short, Exit short")
            raise DataError(f"{path}: {fault}; fix that row")
        trade = trades.setdefault(number or "", Trade(row))
        is_entry = found[1].lower() == "entry"
        if (trade.start if is_entry else trade.stop) is not None:
            fault = Fault(row, "Type", repr(kind), f"one entry and one exit of trade {number}")
            raise DataError(f"{path}: {fault}; export the list again")
        when = None if (time or "").strip().lower() in ("", "open") else time
        if is_entry:
            trade.row, trade.start = row, when
        else:
            trade.stop = when
        trade.side = found[2].lower()
    for trade in trades.values():
        if None in (trade.start, trade.stop):  # open, or begun before the file
            trade.start = trade.stop = None
    return list(trades.values())
