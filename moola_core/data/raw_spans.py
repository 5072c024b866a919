"""What a file of spans holds, before it is placed in a series."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa

from moola_core.data.bar_tags import BarWords
from moola_core.data.layouts import Stamp
from moola_core.data.span_lengths import Unit
from moola_core.errors import DataError

Ends = Literal["inclusive", "half-open"]


@dataclass(frozen=True)
class RawSpans:
    """What a file of spans holds, before it is placed in a series.

    Attributes:
        starts, stops: bar numbers or times, as the file has them.
        words: the labels; None where no column has them.
        start_name, stop_name: of their columns, for messages.
        ends: whether the end is inside, where the format defines it.
        unit: what numbers count.
        seconds: how long one of what they count is, where that is time.
        is_rectangle: whether the ends may come in either order.
        rows: of the file, from 0; None: as they come.
        length_unit: what numbers in `stops` count where those are lengths; "" where nothing says
            it, None where they are ends.
        length_default: what they count where neither their name nor the user says it.
        others: columns that may hold labels, where none is known to.
        per_bar: the labels where each row is a bar, outside spans as well; then `stops` are the
            `starts`.
        stamp: which end of a bar its time is.
        zone: of times that have none, where the columns' names say it.
        symbols: of each row the instrument, where a column says it.
        is_decimal_comma: whether a comma in numbers is for decimals, as none parts them.
        brackets: about the ends where they came as intervals, such as ``(]``; round ones are open.
    """

    starts: pa.ChunkedArray
    stops: pa.ChunkedArray
    words: list[str] | None
    start_name: str = "start"
    stop_name: str = "end"
    ends: Ends | None = None
    unit: Unit = "bars"
    seconds: float = 1.0
    is_rectangle: bool = False
    rows: list[int] | None = None
    length_unit: str | None = None
    length_default: str | None = None
    others: list[str] = field(default_factory=list)
    per_bar: BarWords | None = None
    stamp: Stamp = "open"
    zone: str | None = None
    symbols: list[str] | None = None
    is_decimal_comma: bool = False
    brackets: str = ""

    @property
    def is_start_open(self) -> bool:
        """Whether the bar at the start is not inside."""
        return self.brackets.startswith("(")

    def of_symbol(self, path: Path, symbol: str | None) -> RawSpans:
        """Return the spans of one instrument; without a column of them all are.

        Raises:
            DataError: they are of several and none is chosen, or there is none of the chosen one.
        """
        known = sorted(set(self.symbols or []))
        some = ", ".join(known[:5])
        if self.symbols is None or known == [symbol] or (symbol is None and len(known) < 2):
            return self
        if symbol is None:
            raise DataError(
                f"{path}: spans of {len(known)} instruments ({some}), expected one; say which:"
                " --span-symbol NAME"
            )
        rows = [row for row, one in enumerate(self.symbols) if one == symbol]
        if not rows:
            raise DataError(
                f"{path}: no span of {symbol}, expected one of {some}; say which:"
                " --span-symbol NAME"
            )
        return replace(
            self,
            starts=self.starts.take(rows),
            stops=self.stops.take(rows),
            words=self.words and [self.words[row] for row in rows],
            per_bar=self.per_bar and self.per_bar.take(rows),
            rows=rows,
            symbols=None,
        )
