"""Names of the columns of lists of spans, and the units that they say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from moola_core.data.bar_labels import place_in
from moola_core.data.column_names import SYMBOL_NAMES
from moola_core.data.span_lengths import unit_of_word
from moola_core.data.table_head import is_number, is_time_of_day, looks_like_date, normalise
from moola_core.data.time_column import zone_in_name
from moola_core.data.trades_list import places_of

STARTS = (
    *("start", "begin", "from", "start_time", "start_timestamp", "start_bar", "first", "first_bar"),
    *("expansion_start", "first_timestamp", "time1", "time_1", "x1", "left", "begin_time"),
    *("start_idx", "start_index", "start_date", "start_datetime", "onset", "beginn", "von"),
    *("début", "inicio", "início", "inizio", "entry_dt", "entry_datetime", "opened_at"),
    # Praat's Down to Table; backtesting.py, vectorbt, freqtrade; jobs.predict for charts
    *("tmin", "entrytime", "entry_timestamp", "entry_time", "entry_date", "open_date", "time"),
)
STOPS = (
    *("end", "stop", "to", "end_time", "stop_time", "end_timestamp", "end_bar", "stop_bar", "last"),
    *("last_bar", "expansion_end", "last_timestamp", "time2", "time_2", "x2", "right"),
    *("end_idx", "end_index", "end_date", "end_datetime", "ende", "bis"),
    *("fin", "fim", "fine", "exit_dt", "exit_datetime", "closed_at"),
    *("tmax", "exittime", "exit_timestamp", "exit_time", "exit_date", "close_date"),
)
WORDS = (
    *("label", "labels", "type", "class", "kind", "category", "tag", "text", "name", "pattern"),
    *(
        "description",
        "trial_type",
        "typ",
        "tipo",
        "direction",
        "side",
        "annotation",
    ),  # MNE-Python, BIDS
    "tags",  # Grafana
)
# Columns that are no labels, beside spans of one type.
NO_WORDS = (
    *("", "index", "id", "row", "#", "no", "nr", "price", "price1", "price2", "price_1", "price_2"),
    *("y1", "y2", "high", "low", "top", "bottom", "color", "colour"),
)
INSTRUMENTS = tuple(name for name in SYMBOL_NAMES if name not in WORDS)
IN_SECONDS = ("onset", "tmin", "tmax")  # whatever else their name says: MNE-Python, BIDS, Praat
_TIMES = frozenset(("time", "timestamp", "ts", "t", "date", "datetime"))
_BRACKETS = re.compile(r"\s*[(\[]([A-Za-z_/]+)[)\]]\s*$")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class SpanNames:
    """Names of columns: those of starts and ends without their unit, the others normalised.

    Attributes:
        names: ``Begin Time - msec`` and ``beginTime`` are begin_time.
        units: what each name says that its numbers count: s, ms, min, h, d; None: bars, or nothing.
    """

    names: list[str]
    units: list[str | None]

    @classmethod
    def of(cls, given: Sequence[str]) -> SpanNames:
        """Return the same for names as a file has them."""
        names = [normalise(name) for name in given]
        units = [("s" if name in IN_SECONDS else None) for name in names]
        for i, name in enumerate(given):
            if names[i] in (*STARTS, *STOPS, *WORDS) or name.startswith("_"):
                continue  # of the query, in Flux
            words, unit = _without_unit(name)
            for bare in ("_".join(words), "_".join(one for one in words if one not in _TIMES)):
                # of several, such as msec beside ss.msec, the first
                if bare in (*STARTS, *STOPS) and bare not in names:
                    names[i], units[i] = bare, unit
                    break
        return cls(names, units)


def are_names(names: Sequence[str]) -> bool:
    """Return whether these may be the columns of a list of spans, or of labels per bar."""
    known = SpanNames.of(names).names
    is_list = bool(set(known) & set(STARTS)) or places_of(known) is not None
    return is_list or (place_in(known) is not None and bool(set(known) & set(WORDS)))


def are_values(cells: Sequence[str]) -> bool:
    """Return whether a line has a time or a decimal number, as a line of names has not."""
    return any(
        looks_like_date(one) or is_time_of_day(one) or ("." in one and is_number(one))
        for one in cells
    )


def zone_of(where: str, name: str) -> str | None:
    """Return the zone that a name has in brackets, ``Start (America/New_York)``; it is no unit.

    Raises:
        DataError: it names no one zone.
    """
    found = _BRACKETS.search(name)
    is_unit = found is not None and unit_of_word(found[1].lower()) is not None
    return None if is_unit else zone_in_name(where, name)


def words_in(name: str) -> list[str]:
    """Return the words of a name: start and date of ``StartDate`` and of ``Start Date``."""
    return re.findall(r"[a-z0-9.:]+", normalise(_HUMP.sub("_", name)))


def _without_unit(name: str) -> tuple[list[str], str | None]:
    """Return the words of a name without the one that is a unit, and that unit; and no zone."""
    found = _BRACKETS.search(name)
    if found and (
        "/" in found[1] or (found[1].isupper() and unit_of_word(found[1].lower()) is None)
    ):
        name = name[: found.start()]
    # ELAN: seconds, three decimals
    words = ["s" if word == "ss.msec" else word for word in words_in(name)]
    units = [unit for unit in map(unit_of_word, words) if unit is not None]
    if len(units) > 1:
        return [], None
    bare = [word for word in words if unit_of_word(word) is None]
    return bare, next((unit for unit in units if unit != "bars"), None)
