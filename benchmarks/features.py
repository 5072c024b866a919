"""Features: bars a second on one core, beside a per-bar pandas loop; and memory for a long series.

    python benchmarks/features.py

Goals: 3 million bars a second, 1,000 times the loop, 1.8 million bars in under 300 MB extra.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

import numpy as np

from moola_core.data.synthetic import make_market
from moola_core.features.bars import (
    ATR_BARS,
    COLUMNS,
    series_features,
    window_features,
    window_views,
)

NUM_BARS = 1_800_000
STATUS = Path("/proc/self/status")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=NUM_BARS)
    parser.add_argument("--loop-bars", type=int, default=2000, help="of the pandas loop")
    arguments = parser.parse_args()
    market = make_market(60_000, seed=0).bars
    bars = np.resize(market, (arguments.bars, 4))
    series_features(bars[:1000])  # compiled, or read from the cache
    print(f"{'what':42} {'value':>12}  goal")
    _print_memory(bars)
    seconds = min(_timed(series_features, bars) for _ in range(20))
    print(f"{'series, bars/s, one core':42} {len(bars) / seconds:12,.0f}  3,000,000")
    windows = window_views(bars, step=105)[:5000].copy()
    seconds_windows = min(_timed(window_features, windows) for _ in range(20))
    rate = windows.shape[0] * 105 / seconds_windows
    print(f"{'windows of 105, bars/s, one core':42} {rate:12,.0f}  3,000,000")
    _print_loop(bars[: arguments.loop_bars], len(bars) / seconds)


def _print_memory(bars: np.ndarray[Any, Any]) -> None:
    """Peak resident memory of this process while the features are made and looked at."""
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is resident now
    before = _status("VmHWM")
    features = series_features(bars)
    windows = window_views(features)
    for low in range(0, len(windows), 100_000):
        windows[low : low + 256].mean()
    extra = (_status("VmHWM") - before) / 1024
    copied = windows.size * windows.itemsize / 2**20
    print(f"{f'{len(bars):,} bars: extra memory, MiB':42} {extra:12,.0f}  300")
    print(f"{'  every window copied would be, MiB':42} {copied:12,.0f}")


def _print_loop(bars: np.ndarray[Any, Any], rate: float) -> None:
    try:
        import pandas as pd
    except ImportError:
        print("the loop needs pandas, which is no dependency: pip install pandas")
        return
    frame = pd.DataFrame(bars, columns=["open", "high", "low", "close"])
    ours = pandas_features(frame)
    loop_rate = len(bars) / min(_timed(pandas_features, frame) for _ in range(5))
    np.testing.assert_allclose(ours, series_features(bars), atol=1e-6)
    print(f"{'per-bar pandas loop, bars/s (same result)':42} {loop_rate:12,.0f}")
    print(f"{'ratio':42} {rate / loop_rate:12,.0f}  1,000")


def pandas_features(frame: Any) -> np.ndarray[Any, Any]:  # noqa: PLR0915
    """Return the 12 columns as one writes them at first: vectorised where easy, else row by row."""
    import pandas as pd

    rows = []
    leg, extreme, extreme_bar, candidate, candidate_bar = 0, 0.0, -1, None, -1
    swing_high = swing_low = None
    swing_high_bar = swing_low_bar = 0
    size = frame["high"] - frame["low"]
    ema = size.ewm(alpha=2 / 21, adjust=False).mean()
    last = frame["close"].shift()
    true_range = pd.concat(
        [size, (frame["high"] - last).abs(), (frame["low"] - last).abs()], axis=1
    )
    # The first bar has no true range.
    atrs = true_range.max(axis=1).iloc[1:].rolling(ATR_BARS, min_periods=1).mean()
    atrs = atrs.reindex(frame.index, fill_value=0.0)
    for t, bar in frame.iterrows():
        atr = atrs[t]
        if leg == 0:
            if atr > 0:
                leg, extreme, extreme_bar = 1, bar["close"], t
        else:
            edge = bar["high"] if leg == 1 else bar["low"]
            if (edge - extreme) * leg > 0:
                extreme, extreme_bar = edge, t
            if candidate is None or (edge - candidate) * leg > 0:
                candidate, candidate_bar = edge, t
            against = (extreme - bar["close"]) * leg
            retraced = (candidate - (bar["low"] if leg == 1 else bar["high"])) * leg
            near = t - candidate_bar <= 5
            if against >= 1.2 * atr or (near and retraced >= 0.5 * atr):
                if leg == 1:
                    swing_high, swing_high_bar = extreme, extreme_bar
                else:
                    swing_low, swing_low_bar = extreme, extreme_bar
                extreme = candidate = bar["low"] if leg == 1 else bar["high"]
                extreme_bar = candidate_bar = t
                leg = -leg
        width, unit = max(size[t], 1e-6), atr if atr > 0 else 1e-8
        body = _clip((bar["close"] - bar["open"]) / width, -1, 1)
        range_z = _clip(size[t] / max(ema[t], 1e-6), 0, 3)
        to_high = to_low = since_high = since_low = 0.0
        if swing_high is not None:
            to_high = _clip((swing_high - bar["close"]) / unit, -3, 3)
            since_high = _clip((t - swing_high_bar) / 105, 0, 3)
        if swing_low is not None:
            to_low = _clip((bar["close"] - swing_low) / unit, -3, 3)
            since_low = _clip((t - swing_low_bar) / 105, 0, 3)
        row = {
            "open_norm": _clip((bar["open"] - bar["low"]) / width, 0, 1),
            "close_norm": _clip((bar["close"] - bar["low"]) / width, 0, 1),
            "body_pct": body,
            "upper_wick_pct": _clip((bar["high"] - max(bar["open"], bar["close"])) / width, 0, 1),
            "lower_wick_pct": _clip((min(bar["open"], bar["close"]) - bar["low"]) / width, 0, 1),
            "range_z": range_z,
            "dist_to_prev_SH": to_high,
            "dist_to_prev_SL": to_low,
            "bars_since_SH_norm": since_high,
            "bars_since_SL_norm": since_low,
            "expansion_proxy": _clip(range_z * leg * body, -2, 2),
            "consol_proxy": _clip(
                (1 - range_z / 3) * (1 - abs(body)) * (since_high + since_low) / 2, 0, 3
            ),
        }
        rows.append([row[name] for name in COLUMNS])
    return np.array(rows)


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _timed(function: Any, argument: Any) -> float:
    began = time.perf_counter()
    function(argument)
    return time.perf_counter() - began


def _status(key: str) -> int:
    """KiB."""
    found = re.search(rf"{key}:\s+(\d+)", STATUS.read_text())
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    main()
