"""A built-in market: one-minute bars with planted expansions and distractors, and their windows.

It stands in where no real bars are: the same columns as the real files, from a seed, so that every
command works on a fresh machine. Its scores say that the machinery works, nothing about markets.
Letters: T bars, S steps within a bar, E expansions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from moola_core.data.window_checks import LABELS
from moola_core.spans.intervals import WINDOW_BARS, BoolArray, FloatArray, IntArray

START = np.datetime64("2024-01-01T00:00", "ns")
STEPS = 8
TICK = 0.25
FIRST_PRICE = 8000.0
POINTS = 2.5  # a calm bar's standard deviation
SESSION_BARS, BREAK_MINUTES = 1380, 60  # a futures day, and its pause
SPACING = (230, 300)  # bars from one expansion to the next
LENGTHS = (4, 11)
VOLATILITY = (0.6, 1.0, 2.2)  # of the regimes
REGIME_BARS = 300.0  # mean stay


@dataclass(frozen=True)
class Market:
    """A series and what was planted in it.

    Attributes:
        timestamp: ``(T,)`` datetime64[ns] UTC, with a pause each day.
        bars: ``(T, 4)`` open, high, low, close, in ticks of 0.25. volume: ``(T,)``.
        spans: ``(E, 2)`` the expansions. types: ``(E,)`` what went before, an index into LABELS.
    """

    timestamp: np.ndarray[Any, Any]
    bars: FloatArray
    volume: FloatArray
    spans: IntArray
    types: IntArray


def make_market(num_bars: int, seed: int) -> Market:
    """Regime-switching volatility, fat tails, an expansion about every 265 bars, distractors."""
    rng = np.random.default_rng(seed)
    volatility = _regimes(num_bars, rng)
    drift, quiet = np.zeros(num_bars), np.ones(num_bars)
    spans = _plant_places(num_bars, rng)
    types = rng.integers(len(LABELS), size=len(spans))
    for span, kind in zip(spans, types, strict=True):
        _plant_expansion(drift, quiet, span, LABELS[kind], rng)
        _plant_distractors(drift, quiet, int(span[1]), rng)
    bars = _to_bars(volatility, drift, quiet, rng)
    activity = volatility * quiet * (1.0 + np.abs(drift))
    volume = np.round(rng.gamma(2.0, 40.0, num_bars) * activity) + 1.0
    minutes = np.arange(num_bars) + np.arange(num_bars) // SESSION_BARS * BREAK_MINUTES
    return Market(START + minutes.astype("timedelta64[m]"), bars, volume, spans, types)


def bars_table(market: Market) -> pa.Table:
    """Return the series with the columns of the real bars."""
    names = ("open", "high", "low", "close")
    columns = {name: market.bars[:, i] for i, name in enumerate(names)}
    timestamp = pa.array(market.timestamp, type=pa.timestamp("ns", tz="UTC"))
    return pa.table({"timestamp": timestamp, **columns, "volume": market.volume})


def windows_table(
    market: Market, num_windows: int, *, per_span: int, shifts: BoolArray | bool, seed: int
) -> tuple[pa.Table, IntArray]:
    """Labelled windows of a market, and the expansion of each.

    Args:
        market: where they are cut from.
        num_windows: rows, as far as the market has expansions for them.
        per_span: base windows a physical span.
        shifts: add the copies shifted by ±52 bars in which a third of the span is still visible.
        seed: of the places and of the annotator's noise.

    Returns:
        The table (MODEL.md, section 1) and ``(rows,)`` the row of ``market.spans`` of each window.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for number, span_id in enumerate(np.repeat(np.arange(len(market.spans)), per_span)):
        span = market.spans[span_id] + rng.choice([-1, 0, 1], size=2, p=[0.2, 0.6, 0.2])
        begin = int(span[0]) - int(rng.integers(5, WINDOW_BARS - 20))
        for offset in (0, 52, -52) if shifts else (0,):
            row = _window_row(market, int(span_id), span, begin, offset, number)
            if row is not None:
                rows.append(row)
        if len(rows) >= num_windows:
            break
    rows = rows[:num_windows]
    span_ids = np.array([row.pop("span_id") for row in rows], dtype=np.int64)
    timestamp = pa.array([row.pop("start_timestamp") for row in rows])
    first = np.array([row.pop("first") for row in rows], dtype=np.int64)
    bars = market.bars[first[:, None] + np.arange(WINDOW_BARS)]
    table = pa.Table.from_pylist(rows)
    table = table.add_column(table.column_names.index("label"), "features", _lists(bars))
    timestamp = timestamp.cast(pa.timestamp("ns", tz="UTC"))
    return table.append_column("start_timestamp", timestamp), span_ids


def _lists(bars: FloatArray) -> pa.Array:
    """Return bars ``(B, T, 4)`` as lists of lists."""
    num_windows, num_bars, num_prices = bars.shape
    ends = np.arange(0, bars.size + 1, num_prices, dtype=np.int32)
    rows = pa.ListArray.from_arrays(ends, bars.ravel())
    ends = np.arange(0, num_windows * num_bars + 1, num_bars, dtype=np.int32)
    return pa.ListArray.from_arrays(ends, rows)


def _window_row(
    market: Market, span_id: int, span: IntArray, begin: int, offset: int, number: int
) -> dict[str, Any] | None:
    first = begin + offset
    start, stop = (int(end) - first for end in span)
    shown = max(min(stop, WINDOW_BARS) - max(start, 0), 0)
    fraction = shown / (stop - start)
    if first < 0 or first + WINDOW_BARS > len(market.bars) or fraction < 1 / 3:
        return None
    base = f"{number}_exp_1"
    return {
        "window_id": f"{base}_offset{offset:+d}" if offset else f"{base}_offset0",
        "base_window_id": base,
        "offset": offset,
        "first": first,
        "label": LABELS[market.types[span_id]],
        "expansion_start": max(start, 0),
        "expansion_end": min(stop, WINDOW_BARS) - 1,
        "overlap_fraction": fraction,
        "source": "overlapped" if offset else "base",
        "quality": "A",
        "start_timestamp": market.timestamp[first],
        "span_id": span_id,
    }


def _regimes(num_bars: int, rng: np.random.Generator) -> FloatArray:
    stays = np.ceil(rng.exponential(REGIME_BARS, size=2 + num_bars // 100)).astype(np.int64)
    level = rng.choice(VOLATILITY, size=len(stays))
    return np.resize(np.repeat(level, stays), num_bars).astype(np.float64)


def _plant_places(num_bars: int, rng: np.random.Generator) -> IntArray:
    start = np.cumsum(rng.integers(*SPACING, size=num_bars // SPACING[0]))
    stop = start + rng.integers(*LENGTHS, size=len(start))
    spans = np.stack([start, stop], axis=1)
    return spans[stop < num_bars - WINDOW_BARS].astype(np.int64)


def _plant_expansion(
    drift: FloatArray, quiet: FloatArray, span: IntArray, kind: str, rng: np.random.Generator
) -> None:
    """Plant a fast run over `span`; before it a tight range, or a slower move against it."""
    start, stop = span
    sign = rng.choice([-1.0, 1.0])
    before = slice(start - int(rng.integers(12, 30)), start)
    if kind == "consolidation":
        quiet[before] *= 0.45
    else:
        drift[before] -= sign * rng.uniform(0.25, 0.45)
    drift[start:stop] += sign * rng.uniform(0.8, 1.5)
    quiet[start:stop] *= 0.9


def _plant_distractors(
    drift: FloatArray, quiet: FloatArray, after: int, rng: np.random.Generator
) -> None:
    """Plant what misleads a rule: a spike taken back, a short burst, a noisy stretch."""
    at = after + rng.integers(30, 90, size=3)
    sign = rng.choice([-1.0, 1.0], size=3)
    drift[at[0] : at[0] + 2] += sign[0] * np.array([3.5, -3.2])
    drift[at[1] : at[1] + 3] += sign[1] * 1.3
    drift[at[1] + 3 : at[1] + 9] -= sign[1] * 0.6
    quiet[at[2] : at[2] + 10] *= 1.8


def _to_bars(
    volatility: FloatArray, drift: FloatArray, quiet: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Prices walked in steps, read as open, high, low and close of each bar, rounded to ticks."""
    num_bars = len(volatility)
    # Student's t with 4 degrees of freedom has variance 2.
    noise = rng.standard_t(4, size=(num_bars, STEPS)) / np.sqrt(2.0 * STEPS)
    scale = POINTS * volatility[:, None]
    steps = scale * (quiet[:, None] * noise + drift[:, None] / STEPS)
    price = FIRST_PRICE + np.cumsum(steps, axis=None).reshape(num_bars, STEPS)
    price = np.round(price / TICK) * TICK
    before = np.concatenate([[FIRST_PRICE], price[:-1, -1]])
    # Most bars open where the last one closed, some a tick away.
    opened = before + TICK * rng.choice([-1, 0, 1], size=num_bars, p=[0.15, 0.7, 0.15])
    path = np.concatenate([opened[:, None], price], axis=1)
    return np.stack([opened, path.max(axis=1), path.min(axis=1), price[:, -1]], axis=1)
