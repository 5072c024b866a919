"""Labelled windows cut from a series around marked spans. Letters: T bars a window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from moola_core.data.corrections import VISIBLE
from moola_core.data.series import Bars, step_ns
from moola_core.data.span_lists import ENDS, LABELS, LISTS, STARTS
from moola_core.data.spans_file import MarkedSpan
from moola_core.data.window_columns import BAR_NS
from moola_core.data.windows_report import Report
from moola_core.spans.intervals import WINDOW_BARS, IntArray


@dataclass(frozen=True)
class Placement:
    """Where windows are cut.

    Attributes:
        place: at random, or with the span in the middle.
        margin: bars between the span and the window's edges, at least.
        shifts: bars by which copies of a window are moved.
        seed: of the draw.
        negatives: windows to add that show no bar of a marked span.
        length: T.
        several: every span that a window shows is marked in it, not one alone.
    """

    place: str = "random"
    margin: int = 5
    shifts: tuple[int, ...] = ()
    seed: int = 0
    negatives: int = 0
    length: int = WINDOW_BARS
    several: bool = False


def make_windows(
    bars: Bars, spans: Sequence[MarkedSpan], placement: Placement, source: str
) -> tuple[pa.Table, Report]:
    """Cut a window around every span that fits one.

    A window shows no other span whole if there is a place for that: a model looks for one run. With
    `Placement.several` it marks every span of which it shows a third or more.

    Args:
        bars: the series.
        spans: as of `moola_core.data.spans_file.read_spans`.
        placement: where in its window a span stands.
        source: goes into the column of that name.

    Returns:
        The table (docs/data.md) and what became of the spans.
    """
    report, rng = Report(), np.random.default_rng(placement.seed)
    kept = _kept(bars, spans, placement, report)
    rows = _rows_of_several if placement.several else _rows_of_one
    cut = rows(bars, spans, kept, placement, report, rng)
    ends = _ends(spans)
    begins = _places_without(ends, len(bars), placement, rng)
    report.negatives, report.negatives_asked = len(begins), placement.negatives
    cut += [_negative(bars, begin, k, placement) for k, begin in enumerate(begins)]
    return _to_table([{**row, "source": source} for row in cut], bars, placement), report


def _ends(spans: Sequence[MarkedSpan]) -> IntArray:
    return np.array([[one.start, one.stop] for one in spans], dtype=np.int64).reshape(-1, 2)


def _kept(
    bars: Bars, spans: Sequence[MarkedSpan], placement: Placement, report: Report
) -> list[int]:
    """Return which spans can have a window, in the order of the file; note why others can't."""
    ends, kept = _ends(spans), list[int]()
    for i, span in enumerate(spans):
        why = _reason(span, ends[kept], len(bars), placement.length)
        if why:
            report.leave_out(why, span.row)
        else:
            kept.append(i)
    report.kept = len(kept)
    return kept


def _rows_of_one(
    bars: Bars,
    spans: Sequence[MarkedSpan],
    kept: Sequence[int],
    placement: Placement,
    report: Report,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Cut a window around each span, which marks that one alone."""
    ends, rows = _ends(spans), []
    for i in kept:
        span = spans[i]
        first, is_crowded = _first_bar(span, np.delete(ends, i, axis=0), len(bars), placement, rng)
        report.crowded += is_crowded
        for shift in (0, *placement.shifts):
            row = _row(bars, span, first, shift, placement.length)
            if row is not None:
                rows.append(row)
                report.copies += shift != 0
                report.clipped += row["overlap_fraction"] < 1
    return rows


def _rows_of_several(
    bars: Bars,
    spans: Sequence[MarkedSpan],
    kept: Sequence[int],
    placement: Placement,
    report: Report,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Cut a window around each span that none before it shows whole; it marks all that it shows."""
    rows, whole = list[dict[str, Any]](), set[int]()
    order = sorted(kept, key=lambda i: spans[i].start)
    for i in order:
        if i in whole:
            report.shared += 1
            continue
        first, _ = _first_bar(spans[i], _ends([]), len(bars), placement, rng)
        for shift in (0, *placement.shifts):
            row = _row(bars, spans[i], first, shift, placement.length)
            if row is None:
                continue
            shown = {k: _shown(spans[k], first + shift, placement.length) for k in order}
            shown = {k: one for k, one in shown.items() if one[2] >= VISIBLE}
            row[STARTS] = [start for start, _, _ in shown.values()]
            row[ENDS] = [stop - 1 for _, stop, _ in shown.values()]
            row[LABELS] = [spans[k].label for k in shown]
            rows.append(row)
            report.copies += shift != 0
            report.marked[len(shown)] += 1
            report.cut += sum(share < 1 for _, _, share in shown.values())
            if not shift:
                whole |= {k for k, (_, _, share) in shown.items() if share == 1}
    return rows


def _places_without(
    ends: IntArray, num_bars: int, placement: Placement, rng: np.random.Generator
) -> list[int]:
    """First bars of the negatives, or fewer: they share no bar with a span or each other."""
    length = placement.length
    free = np.ones(max(num_bars - length + 1, 0), dtype=bool)
    for start, stop in ends:
        free[max(start - length + 1, 0) : stop] = False
    begins: list[int] = []
    while len(begins) < placement.negatives and free.any():
        begin = int(rng.choice(np.flatnonzero(free)))
        begins.append(begin)
        free[max(begin - length + 1, 0) : begin + length] = False
    return sorted(begins)


def _negative(bars: Bars, begin: int, number: int, placement: Placement) -> dict[str, Any]:
    name = f"none{number}"
    return {
        **({name: [] for name in LISTS} if placement.several else {}),
        "window_id": name,
        "base_window_id": name,
        "offset": 0,
        "quality": "",
        "features": bars.prices[begin : begin + placement.length].tolist(),
        "first": begin,
    }


def _reason(span: MarkedSpan, earlier: IntArray, num_bars: int, length: int) -> str:
    """Return why a span gets no window; nothing if it does."""
    if num_bars < length:
        return f"the series has fewer than {length} bars"
    if span.stop - span.start > length:
        return f"longer than a window of {length} bars"
    shares = (earlier[:, 0] < span.stop) & (earlier[:, 1] > span.start)
    if shares.any():
        same = (earlier[:, 0] == span.start) & (earlier[:, 1] == span.stop)
        return "marked twice" if same.any() else "shares bars with a span before it in the file"
    return ""


def _first_bar(
    span: MarkedSpan,
    others: IntArray,
    num_bars: int,
    placement: Placement,
    rng: np.random.Generator,
) -> tuple[int, bool]:
    """Return the first bar of the window, and whether it shows another span whole."""
    length = placement.length
    free = length - (span.stop - span.start)
    margin = min(placement.margin, free // 2)
    low, high = span.stop + margin - length, span.start - margin
    low, high = max(low, 0), min(high, num_bars - length)
    if high < low:  # at an end of the series
        low = high = min(max(span.start - free // 2, 0), num_bars - length)
    every = np.arange(low, high + 1)
    near = others[(others[:, 0] < high + length) & (others[:, 1] > low)]
    shown = (near[:, 0] >= every[:, None]) & (near[:, 1] <= every[:, None] + length)
    clear = every[~shown.any(axis=1)]
    places = clear if len(clear) else every
    if placement.place == "centre":
        middle = span.start - free // 2
        return int(places[np.argmin(np.abs(places - middle))]), not len(clear)
    return int(rng.choice(places)), not len(clear)


def _shown(span: MarkedSpan, begin: int, length: int) -> tuple[int, int, float]:
    """Return the span in bars of the window that begins there, and the share that it shows."""
    start, stop = max(span.start - begin, 0), min(span.stop - begin, length)
    return start, stop, max(stop - start, 0) / (span.stop - span.start)


def _row(
    bars: Bars, span: MarkedSpan, first: int, shift: int, length: int
) -> dict[str, Any] | None:
    begin = first + shift
    start, stop, fraction = _shown(span, begin, length)
    if begin < 0 or begin + length > len(bars) or fraction < VISIBLE:
        return None
    return {
        "window_id": f"span{span.row}_offset{shift:+d}" if shift else f"span{span.row}_offset0",
        "base_window_id": f"span{span.row}",
        "offset": shift,
        "features": bars.prices[begin : begin + length].tolist(),
        "label": span.label,
        "expansion_start": start,
        "expansion_end": stop - 1,
        "overlap_fraction": fraction,
        "quality": "",
        "first": begin,
    }


def _to_table(rows: list[dict[str, Any]], bars: Bars, placement: Placement) -> pa.Table:
    text, whole = pa.string(), pa.int64()
    fields = [("window_id", text), ("base_window_id", text), ("offset", whole)]
    fields += [("features", pa.list_(pa.list_(pa.float64()))), ("label", text)]
    fields += [("expansion_start", whole), ("expansion_end", whole)]
    if placement.several:
        fields += [(STARTS, pa.list_(whole)), (ENDS, pa.list_(whole)), (LABELS, pa.list_(text))]
    fields += [("overlap_fraction", pa.float64()), ("source", text), ("quality", text)]
    first = np.array([row.pop("first") for row in rows], dtype=np.int64)
    table = pa.Table.from_pylist(rows, schema=pa.schema(fields))
    if bars.time is not None:
        time = pa.array(bars.time[first], pa.timestamp("ns", tz="UTC"))
        table = table.append_column("start_timestamp", time)
        step = step_ns(bars.time)
        if step is not None:
            table = table.replace_schema_metadata({BAR_NS: str(step)})
    return table
