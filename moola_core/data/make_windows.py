"""Labelled windows cut from a series around marked spans. Letters: T bars a window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from moola_core.data.corrections import VISIBLE
from moola_core.data.series import Bars, step_ns
from moola_core.data.spans_file import MarkedSpan
from moola_core.data.window_columns import BAR_NS
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
    """

    place: str = "random"
    margin: int = 5
    shifts: tuple[int, ...] = ()
    seed: int = 0
    negatives: int = 0
    length: int = WINDOW_BARS


@dataclass
class Report:
    """What became of the spans.

    Attributes:
        kept: spans with a window.
        copies: shifted windows beside them; `clipped` of all windows show a part of their span.
        negatives: windows without a span, of so many that were asked for.
        crowded: windows that show another span whole, since no place without it was left.
        left_out: why, and the rows of the file.
    """

    kept: int = 0
    copies: int = 0
    clipped: int = 0
    crowded: int = 0
    negatives: int = 0
    negatives_asked: int = 0
    left_out: dict[str, list[int]] = field(default_factory=dict)

    def leave_out(self, why: str, row: int) -> None:
        """Note that the span of a row has no window."""
        self.left_out.setdefault(why, []).append(row)


def make_windows(
    bars: Bars, spans: Sequence[MarkedSpan], placement: Placement, source: str
) -> tuple[pa.Table, Report]:
    """Cut a window around every span that fits one.

    A window shows no other span whole if there is a place for that: a model looks for one run.

    Args:
        bars: the series.
        spans: as of `moola_core.data.spans_file.read_spans`.
        placement: where in its window a span stands.
        source: goes into the column of that name.

    Returns:
        The table (docs/data.md) and what became of the spans.
    """
    report, rng = Report(), np.random.default_rng(placement.seed)
    ends = np.array([[one.start, one.stop] for one in spans], dtype=np.int64).reshape(-1, 2)
    rows: list[dict[str, Any]] = []
    kept: list[int] = []
    for i, span in enumerate(spans):
        why = _reason(span, ends[kept], len(bars), placement.length)
        if why:
            report.leave_out(why, span.row)
            continue
        kept.append(i)
        first, is_crowded = _first_bar(span, np.delete(ends, i, axis=0), len(bars), placement, rng)
        report.kept += 1
        report.crowded += is_crowded
        for shift in (0, *placement.shifts):
            row = _row(bars, span, first, shift, placement.length)
            if row is not None:
                rows.append({**row, "source": source})
                report.copies += shift != 0
                report.clipped += row["overlap_fraction"] < 1
    begins = _places_without(ends, len(bars), placement, rng)
    report.negatives, report.negatives_asked = len(begins), placement.negatives
    negatives = [_negative(bars, begin, k, placement.length) for k, begin in enumerate(begins)]
    rows += [{**row, "source": source} for row in negatives]
    return _to_table(rows, bars), report


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


def _negative(bars: Bars, begin: int, number: int, length: int) -> dict[str, Any]:
    name = f"none{number}"
    return {
        "window_id": name,
        "base_window_id": name,
        "offset": 0,
        "quality": "",
        "features": bars.prices[begin : begin + length].tolist(),
        "first": begin,
    }


def summarise(report: Report, num_spans: int, labels: Sequence[str | None]) -> list[str]:
    """Return the report as lines: how many of each were kept, and why others were not."""
    lines = [f"{report.kept} of {num_spans} spans kept, {report.kept + report.copies} windows"]
    if report.copies:
        lines.append(f"{report.copies} of them shifted copies, {report.clipped} clip their span")
    if report.crowded:
        lines.append(f"{report.crowded} show another span whole: no place without it")
    if report.negatives_asked:
        lines.append(f"{report.negatives} of {report.negatives_asked} windows without a span kept")
    if report.negatives < report.negatives_asked:
        missing = report.negatives_asked - report.negatives
        lines.append(f"{missing} left out: no place free of spans and of other such windows")
    for why, rows in report.left_out.items():
        some = ", ".join(str(row) for row in rows[:5]) + (" ..." if len(rows) > 5 else "")
        lines.append(f"{len(rows)} left out: {why} (rows {some})")
    counts = Counter(word for word in labels if word is not None)
    if counts:
        lines.append("types: " + ", ".join(f"{word} {n}" for word, n in sorted(counts.items())))
    return lines


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


def _row(
    bars: Bars, span: MarkedSpan, first: int, shift: int, length: int
) -> dict[str, Any] | None:
    begin = first + shift
    start, stop = max(span.start - begin, 0), min(span.stop - begin, length)
    fraction = (stop - start) / (span.stop - span.start)
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


def _to_table(rows: list[dict[str, Any]], bars: Bars) -> pa.Table:
    text, whole = pa.string(), pa.int64()
    fields = [("window_id", text), ("base_window_id", text), ("offset", whole)]
    fields += [("features", pa.list_(pa.list_(pa.float64()))), ("label", text)]
    fields += [("expansion_start", whole), ("expansion_end", whole)]
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
