"""Columns of lists of spans: which is the start, the end or the length, and the label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from moola_core.data.bar_labels import PLACES, place_in, word_of
from moola_core.data.bar_tables import require_times
from moola_core.data.bar_tags import BarWords
from moola_core.data.interval_column import split_intervals
from moola_core.data.label_studio import KEY, Region, regions_of_cells, words_of
from moola_core.data.raw_spans import Ends, RawSpans
from moola_core.data.span_days import DAYS, are_clocks, behind_days, join_days, with_colons
from moola_core.data.span_lengths import SECONDS_OF, is_length, unit_in
from moola_core.data.span_names import (
    INSTRUMENTS,
    NO_WORDS,
    STARTS,
    STOPS,
    WORDS,
    SpanNames,
    zone_of,
)
from moola_core.data.table_head import is_number
from moola_core.data.trades_list import places_of, read_trades
from moola_core.errors import DataError

MAX_BAR = 10**8  # a larger number counts from 1970
SERIES = ("series",)  # of TRAINSET, each of which has a row a bar
RECTANGLE = ("time1", "time_1", "x1", "left")


def of_table(path: Path, table: pa.Table) -> RawSpans:
    """Return the spans of a table, by the names of its columns.

    Raises:
        DataError: a column is missing, or there twice.
    """
    require_times(path, table.schema)
    table = join_days(with_colons(path, table))
    found = SpanNames.of(table.column_names)
    names = found.names
    cells = _label_studio(table)
    if cells is not None:
        tasks = table.column(names.index("id")).to_pylist() if "id" in names else ["0"] * len(cells)
        return of_regions(path, regions_of_cells(cells, [str(task) for task in tasks]))
    brackets = ""
    has_ends = bool(set(names) & set(STOPS)) or any(map(is_length, names))
    if not (set(names) & set(STARTS) and has_ends):
        table, brackets = split_intervals(path, table, are_bars=_are_bars(names))
        found = SpanNames.of(table.column_names)
        names = found.names
    trades = None if set(names) & set(STARTS) else places_of(names)
    if trades is not None:
        return _of_trades(path, [table.column(i).to_pylist() for i in trades])
    if _are_bars(names):
        return _of_bars(path, table, found)
    start = _place(path, table, names, "start", STARTS)
    length = next((i for i, name in enumerate(names) if is_length(name)), None)
    ends_known = any(name in STOPS for name in names)
    stop = length if length is not None and not ends_known else None
    if stop is None:
        stop = _place(path, table, names, "end", STOPS)
    unit = _unit_of(path, table, found, start, stop if stop != length else None)
    word = _word_place(path, table, names)
    words = None
    if word is not None:
        words = [word_of(one) for one in table.column(word).to_pylist()]
    used = (start, stop, word, length)
    others = [
        name
        for i, name in enumerate(table.column_names)
        if i not in used and names[i] not in (*NO_WORDS, *DAYS, *STARTS, *STOPS, *INSTRUMENTS)
    ]
    is_rectangle = names[start] in RECTANGLE
    is_length_given = stop == length
    ends: Ends | None = "inclusive" if is_rectangle or brackets.endswith("]") else None
    ends = "half-open" if names[start] == "tmin" or brackets.endswith(")") else ends
    return RawSpans(
        _with_day(table, names, table.column(start)),
        table.column(stop) if is_length_given else _with_day(table, names, table.column(stop)),
        words,
        table.column_names[start],
        table.column_names[stop],
        ends,
        "seconds" if unit else "bars",
        SECONDS_OF.get(unit or "", 1.0),
        is_rectangle,
        length_unit=(unit_in(names[stop]) or "") if is_length_given else None,
        # onsets and what stands beside them are in seconds (BIDS, MNE)
        length_default=unit if names[start] == "onset" and unit == "s" else None,
        others=others,
        zone=_zone_of(path, table.column_names[start], table.column_names[stop]),
        symbols=_symbols(table, names, INSTRUMENTS),
        brackets=brackets,
    )


def _are_bars(names: list[str]) -> bool:
    """Return whether these are columns of labels per bar: a place, and neither end nor length."""
    known = set(names)
    has_ends = bool(known & {*STARTS, *STOPS} - set(PLACES)) or any(map(is_length, names))
    return place_in(names) is not None and bool(known & set(WORDS)) and not has_ends


def _of_bars(path: Path, table: pa.Table, found: SpanNames) -> RawSpans:
    """Return a row a bar, with its label."""
    names = found.names
    at = _place(path, table, names, "time", PLACES)
    times = _with_day(table, names, table.column(at))
    labels = table.column(_place(path, table, names, "label", WORDS)).to_pylist()
    words = ["" if one is None else str(one) for one in labels]
    given = table.column_names[at] or "(no name)"
    unit = found.units[at]
    return RawSpans(
        times,
        times,
        None,
        given,
        given,
        unit="seconds" if unit else "bars",
        seconds=SECONDS_OF.get(unit or "", 1.0),
        per_bar=BarWords.of(words),
        zone=zone_of(str(path), table.column_names[at]),
        symbols=_symbols(table, names, (*INSTRUMENTS, *SERIES)),
    )


def _symbols(table: pa.Table, names: list[str], known: tuple[str, ...]) -> list[str] | None:
    """Return the instrument of each row; None without a column of them, or with a single series."""
    at = next((names.index(name) for name in known if name in names), None)
    if at is None:
        return None
    symbols = [str(one) for one in table.column(at).to_pylist()]
    return None if names[at] in SERIES and len(set(symbols)) < 2 else symbols


def _with_day(table: pa.Table, names: list[str], column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of times; times of day behind the day of their row, where one has it."""
    day = next((names.index(one) for one in DAYS if one in names), None)
    if day is None or not are_clocks(column):
        return column
    return behind_days(table.column(day), column)


def _unit_of(
    path: Path, table: pa.Table, found: SpanNames, start: int, stop: int | None
) -> str | None:
    """Return what numbers count by the names of their columns; None where those do not say it."""
    unit = found.units[start]
    if stop is not None and found.units[stop] != unit and found.names[start] != "onset":
        names = table.column_names
        raise DataError(
            f"{path}: columns {names[start]} and {names[stop]}: expected one unit in both names;"
            " rename one, or write both in one unit"
        )
    return unit


def _zone_of(path: Path, start: str, stop: str) -> str | None:
    zones = [zone_of(str(path), name) for name in (start, stop)]
    if None not in zones and zones[0] != zones[1]:
        raise DataError(
            f"{path}: columns {start} and {stop}: expected one zone; write both in one, or the"
            " zone behind each time"
        )
    return zones[0] or zones[1]


def _word_place(path: Path, table: pa.Table, names: list[str]) -> int | None:
    """Return where the labels are; of Grafana's text and tags the one that is not empty."""
    known = [name for name in WORDS if name in names]
    if known == ["text", "tags"]:
        columns = {name: table.column(names.index(name)).to_pylist() for name in known}
        known = [name for name, cells in columns.items() if any(cells)]
        if len(known) == 2:
            raise DataError(
                f"{path}: columns text and tags: both hold words, expected the types in one of"
                " them; rename that one to label"
            )
    return _place(path, table, names, "label", tuple(known)) if known else None


def _place(path: Path, table: pa.Table, names: list[str], what: str, known: tuple[str, ...]) -> int:
    """Return where the column is that has one of the known names."""
    found = [name for name in known if name in names]
    if not found:
        raise DataError(
            f"{path}: column {what} is missing, expected one of {', '.join(known[:6])} ...,"
            f" got {', '.join(table.column_names)};"
            " rename it, or add a line of names: start,end,label (with a row per bar"
            " timestamp,label)"
        )
    if names.count(found[0]) > 1:
        raise DataError(f"{path}: column {found[0]} is there twice, expected it once; drop one")
    return names.index(found[0])


def _of_trades(path: Path, columns: list[list[Any]]) -> RawSpans:
    """TradingView's list of trades: a span from the entry to the exit."""
    texts = [[None if one is None else str(one) for one in column] for column in columns]
    trades = read_trades(path, *texts)
    return RawSpans(
        pa.chunked_array([pa.array([one.start for one in trades], pa.string())]),
        pa.chunked_array([pa.array([one.stop for one in trades], pa.string())]),
        [one.side for one in trades],
        "Date/Time",
        "Date/Time",
        rows=[one.row for one in trades],
    )


def _label_studio(table: pa.Table) -> list[str | None] | None:
    """Return the column that holds Label Studio's regions, if there is one."""
    for column in table.columns:
        cells = column.to_pylist()
        if any(isinstance(cell, str) and KEY in cell for cell in cells):
            return cells
    return None


def of_regions(path: Path, named: list[tuple[str, Region]]) -> RawSpans:
    """Regions of Label Studio, each behind its task; the point at an end is inside."""
    if not named:
        raise DataError(
            f"{path}: no region of a time series, expected Label Studio's export (JSON, JSON-MIN,"
            " CSV, TSV) with timeserieslabels; export it again"
        )
    regions = [region for _, region in named]
    starts, stops = ([str(one.get(key, "")) for one in regions] for key in ("start", "end"))
    tasks = sorted({task for task, _ in named})
    if len(tasks) > 1 and all(is_number(one) and abs(float(one)) < MAX_BAR for one in starts):
        raise DataError(
            f"{path}: regions of {len(tasks)} tasks ({', '.join(tasks[:5])}) by the number of the"
            " point, expected one series, as each counts from 0; leave the other tasks out, or give"
            " the tasks times (timeColumn)"
        )
    return RawSpans(
        pa.chunked_array([pa.array(starts)]),
        pa.chunked_array([pa.array(stops)]),
        [words_of(one) for one in regions],
        ends="inclusive",
    )
