"""Spans that people marked: tables, Label Studio, chart rectangles, Audacity label tracks.

A span is given by times or by bar numbers from 0, and comes out half-open in bars of the series.
Whether a table's end is the last bar inside or the first one after it is for the user to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from moola_core.data.bar_labels import bars_at, runs_of
from moola_core.data.bar_tables import readable
from moola_core.data.bar_tags import BarWords
from moola_core.data.bars_between import bars_between, by_opens, is_open_of
from moola_core.data.layouts import Stamp
from moola_core.data.raw_spans import Ends, RawSpans
from moola_core.data.series import Bars, step_ns
from moola_core.data.span_columns import MAX_BAR
from moola_core.data.span_lengths import Unit, read_lengths, require_plain, with_point
from moola_core.data.span_tables import read_raw
from moola_core.data.table_head import END_SERIAL, FIRST_SERIAL, is_number
from moola_core.data.time_limits import DAY_NS, FIRST_YEARS, SECOND
from moola_core.data.time_text import are_days
from moola_core.data.times import Clock
from moola_core.data.window_checks import Fault
from moola_core.errors import DataError
from moola_core.spans.intervals import BoolArray, FloatArray, IntArray

COUNTED, NUMBERED = "from the first bar", "bar numbers"  # units of a clock that are no times


@dataclass(frozen=True)
class MarkedSpan:
    """One span of a file.

    Attributes:
        row: of the file, from 0.
        start, stop: bars of the series, half-open.
        label: its word.
    """

    row: int
    start: int
    stop: int
    label: str


def read_spans(  # noqa: PLR0913 - each option is the user's own
    path: Path,
    bars: Bars,
    clock: Clock,
    ends: Ends | None,
    unit: Unit | None = None,
    label: str | None = None,
    stamp: Stamp = "open",
    symbol: str | None = None,
) -> tuple[list[MarkedSpan], list[Fault]]:
    """Read a file of spans, and place them in a series.

    Args:
        path: CSV, TSV, Parquet, Label Studio's JSON or JSON-MIN, or a label track of Audacity.
        bars: the series.
        clock: how its times, or times written like them, are read.
        ends: whether the end is the last bar inside; None: not said, which only formats that
            define it allow.
        unit: what numbers count: seconds from the first bar's open, or bars.
        label: the word of spans that have none.
        stamp: whether a time is that of a bar's open or of its close; one within a bar is neither.
        symbol: the instrument, where the file has spans of several.

    Returns:
        The spans, and the fault of each row that is none in this series.

    Raises:
        DataError: the file is missing, of no known kind, lacks a column, or `ends` is not said.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: no such file, expected spans as CSV, Parquet or JSON; look at the path"
        )
    with readable(path):
        raw = replace(read_raw(path, unit, label), stamp=stamp).of_symbol(path, symbol)
    clock.tz = raw.zone or clock.tz
    if raw.per_bar is not None:
        return _of_bars(path, bars, clock, raw, raw.per_bar, ends)
    if raw.length_unit is not None:
        return _of_lengths(path, bars, clock, raw, ends, unit)
    if raw.brackets and ends not in (None, raw.ends):
        raise DataError(
            f"{path}: intervals with the brackets {raw.brackets} say themselves which ends are"
            f" inside, expected no --ends {ends}; leave it out"
        )
    ends = ends or raw.ends
    if ends is None:
        raise DataError(
            f"{path}: column {raw.stop_name}: is the bar at the end inside its span? expected it"
            " to be said: --ends inclusive or --ends half-open (docs/data.md has a picture)"
        )
    is_empty = _marks_none(path, raw)
    first, is_time = _places(path, _filled(raw.starts, is_empty), raw.start_name, bars, clock, raw)
    last, is_end_time = _places(path, _filled(raw.stops, is_empty), raw.stop_name, bars, clock, raw)
    if is_time != is_end_time:
        raise DataError(
            f"{path}: columns {raw.start_name} and {raw.stop_name}: expected both as times or both"
            f" as bar numbers, got {'times' if is_time else 'bar numbers'} in the first alone;"
            " write both alike"
        )
    if is_time and ends == "inclusive" and not raw.brackets:
        _require_clocks(path, raw, is_empty, bars)
    if raw.is_rectangle:  # drawn from right to left as well
        first, last = np.minimum(first, last), np.maximum(first, last)
    start, stop = (
        bars_between(first, last, bars, ends) if is_time else (first, last + (ends == "inclusive"))
    )
    if raw.is_start_open:
        start = start + (is_open_of(start, first, bars) if is_time else 1)
    return _sort_out(raw, is_empty, np.stack([start, stop], axis=1), len(bars))


def _require_clocks(path: Path, raw: RawSpans, is_empty: BoolArray, bars: Bars) -> None:
    """Refuse days as the last bars inside, where bars are shorter: midnight's alone would be."""
    assert bars.time is not None
    if are_days(_filled(raw.stops, is_empty)) and (step_ns(bars.time) or DAY_NS) < DAY_NS:
        raise DataError(
            f"{path}: column {raw.stop_name}: days without a time of day, of which the bar of"
            " midnight alone would be inside, expected times; write the last bar's, such as"
            " 2024-01-31 15:59, or the day behind it with --ends half-open"
        )


def _of_bars(
    path: Path, bars: Bars, clock: Clock, raw: RawSpans, labels: BarWords, ends: Ends | None
) -> tuple[list[MarkedSpan], list[Fault]]:
    """Place the runs of equal labels of a file with a row a bar."""
    if ends is not None:
        raise DataError(
            f"{path}: labels per bar say themselves which bars are inside, expected no --ends"
            f" {ends}; leave it out"
        )
    place, is_time = _places(path, raw.starts, raw.start_name, bars, clock, raw)
    at = bars_at(path, raw.start_name, place, is_time, bars)
    order = np.argsort(place, kind="stable")
    labels = labels.take(order)
    first, stop = runs_of(labels).T
    runs = replace(raw, words=[labels.words[i] for i in first], rows=order[first].tolist())
    ends_of_runs = np.stack([at[order[first]], at[order[stop - 1]] + 1], axis=1)
    return _sort_out(runs, np.zeros(len(first), dtype=bool), ends_of_runs, len(bars))


def _of_lengths(
    path: Path, bars: Bars, clock: Clock, raw: RawSpans, ends: Ends | None, unit: Unit | None
) -> tuple[list[MarkedSpan], list[Fault]]:
    """Place spans that have a start and a length, which says where they end."""
    if ends == "inclusive":
        raise DataError(
            f"{path}: column {raw.stop_name}: a length says itself where a span ends, expected no"
            " --ends inclusive; leave it out"
        )
    is_empty = _marks_none(path, raw)
    first, is_time = _places(path, _filled(raw.starts, is_empty), raw.start_name, bars, clock, raw)
    lengths = _filled(raw.stops, is_empty)
    rows = np.arange(len(lengths)) if raw.rows is None else np.array(raw.rows)
    _require_all(path, lengths.to_pylist(), raw.stop_name, "a length", rows)
    said = raw.length_unit or {"seconds": "s", "bars": "bars", None: raw.length_default}[unit]
    length, is_ns = read_lengths(path, lengths, raw.stop_name, said, rows.tolist())
    if is_ns:
        begin = first if is_time else _opens(path, first, raw, bars)
        start, stop = bars_between(begin, begin + length, bars, "half-open")
        start = start if is_time else first
    else:
        start = bars_between(first, first, bars, "inclusive")[0] if is_time else first
        stop = start + length
    return _sort_out(raw, is_empty, np.stack([start, stop], axis=1), len(bars))


def _opens(path: Path, first: IntArray, raw: RawSpans, bars: Bars) -> IntArray:
    """Return when bars open; of those outside the series, any time."""
    if bars.time is None:
        raise DataError(
            f"{path}: column {raw.stop_name}: lengths in time, but the bars have no times, expected"
            " lengths in bars: --unit bars; or name the bars' times: --time-column"
        )
    return bars.time[np.clip(first, 0, len(bars) - 1)]


def _marks_none(path: Path, raw: RawSpans) -> BoolArray:
    """Return which rows have neither a start nor an end."""
    ends = zip(raw.starts.to_pylist(), raw.stops.to_pylist(), strict=True)
    is_empty = np.array([set(pair) <= {None, ""} for pair in ends], dtype=bool)
    if is_empty.all():
        raise DataError(
            f"{path}: holds no span, expected at least 1 row with start and end; mark some"
        )
    return is_empty


def _filled(column: pa.ChunkedArray, is_empty: BoolArray) -> pa.ChunkedArray:
    """Return the same with the value above in empty rows, so that rows keep their numbers."""
    first = int(np.argmin(is_empty))
    above = np.maximum.accumulate(np.where(is_empty, first, np.arange(len(is_empty))))
    return column.take(pa.array(above)) if is_empty.any() else column


def _sort_out(
    raw: RawSpans, is_empty: BoolArray, ends: IntArray, num_bars: int
) -> tuple[list[MarkedSpan], list[Fault]]:
    spans, faults = [], []
    for i, ((a, b), word) in enumerate(zip(ends, raw.words or [], strict=True)):
        row = i if raw.rows is None else raw.rows[i]
        if is_empty[i]:
            faults.append(Fault(row, raw.start_name, "nothing", "a span, such a row marks none"))
        elif not word.strip():
            faults.append(Fault(row, "label", repr(word), "one word for the type"))
        elif not 0 <= a < num_bars:
            faults.append(Fault(row, raw.start_name, f"bar {a}", f"a bar in 0..{num_bars - 1}"))
        elif b > num_bars:
            faults.append(Fault(row, raw.stop_name, f"bar {b}", f"at most bar {num_bars}"))
        elif b <= a:
            expected = f"an end after its start (bar {a})"
            faults.append(Fault(row, raw.stop_name, f"bar {b}", expected))
        else:
            spans.append(MarkedSpan(row, int(a), int(b), word.strip()))
    return spans, faults


def _places(
    path: Path, column: pa.ChunkedArray, name: str, bars: Bars, clock: Clock, raw: RawSpans
) -> tuple[IntArray, bool]:
    """Bar numbers, or nanoseconds since 1970; and which it is."""
    rows = np.arange(len(column)) if raw.rows is None else np.array(raw.rows)
    numbers = _numbers(path, column, name, rows, raw)
    are_times = numbers is not None and _are_times(numbers * raw.seconds, clock, raw.unit)
    if numbers is not None and raw.unit == "seconds" and not are_times:
        if bars.time is None:
            raise DataError(
                f"{path}: seconds, but the bars have no times, expected bar numbers:"
                " --unit bars; or name the bars' times: --time-column"
            )
        clock.units.add(COUNTED)
        return bars.time[0] + np.rint(numbers * raw.seconds * SECOND).astype(np.int64), True
    if numbers is not None and not are_times:
        wrong = np.flatnonzero(numbers != np.rint(numbers))
        if len(wrong):
            fault = Fault(int(rows[wrong[0]]), name, str(numbers[wrong[0]]), "a whole bar number")
            raise DataError(f"{path}: {fault}; fix that row")
        clock.units.add(NUMBERED)
        return numbers.astype(np.int64), False
    if bars.time is None:
        raise DataError(
            f"{path}: column {name}: times, but the bars have none, expected bar numbers;"
            " write those, or name the bars' times: --time-column"
        )
    time = clock.read([column], name, rows)
    if name == "onset" and (time < FIRST_YEARS).all():  # MNE, of a recording without a date
        clock.units.add(COUNTED)
        return time + bars.time[0], True
    return (by_opens(time, bars.time) if raw.stamp == "close" else time), True


def _numbers(
    path: Path, column: pa.ChunkedArray, name: str, rows: IntArray, raw: RawSpans
) -> np.ndarray | None:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return None
    values = column.to_pylist()
    _require_all(path, values, name, "a bar number or a time", rows)
    texts = [str(value) for value in values]
    if raw.unit == "seconds" and not raw.is_decimal_comma:
        require_plain(path, texts, name, rows.tolist())
    texts = [with_point(text, raw.unit) for text in texts]
    is_count = [is_number(text) for text in texts]
    if all(is_count):
        return np.array([float(text) for text in texts])
    if is_count[0]:
        at = is_count.index(False)
        fault = Fault(int(rows[at]), name, repr(values[at]), f"a number, as in row {rows[0]}")
        raise DataError(f"{path}: {fault}; fix that row")
    return None


def _require_all(path: Path, values: list[Any], name: str, expected: str, rows: IntArray) -> None:
    for row, value in zip(rows.tolist(), values, strict=True):
        if value is None or value == "":
            fault = Fault(row, name, "nothing", expected)
            raise DataError(f"{path}: {fault}; fix that row, or empty its other end too")


def _are_times(numbers: FloatArray, clock: Clock, unit: Unit) -> bool:
    """Return whether numbers are Unix times, or days as Excel counts them."""
    if (np.abs(numbers) >= MAX_BAR).any() or unit == "seconds":
        return bool((np.abs(numbers) >= MAX_BAR).any())
    is_days = (numbers >= FIRST_SERIAL) & (numbers < END_SERIAL)
    is_said = clock.dates in ("excel", "excel-1904") or bool((numbers % 1 != 0).any())
    return bool(is_days.all() and is_said)
