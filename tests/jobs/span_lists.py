"""Bars, the spans in them, and lists of spans as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.windows import main

NUM_BARS = 2000
FIRST = 1_704_205_800  # 2024-01-02 14:30 UTC

SPANS = [(200, 207, "up"), (420, 440, "down"), (900, 905, "spike"), (1500, 1512, "up")]


def write_bars(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    close = 100 + rng.normal(0, 0.1, NUM_BARS).cumsum()
    opened = np.r_[close[0], close[:-1]]
    high, low = np.maximum(opened, close) + 0.05, np.minimum(opened, close) - 0.05
    time = pa.array(FIRST + 60 * np.arange(NUM_BARS), pa.timestamp("s", tz="UTC"))
    columns = {"open": opened, "high": high, "low": low, "close": close}
    path = folder / "bars.parquet"
    pq.write_table(pa.table({"timestamp": time, **columns}), path)
    return path


def run(bars: Path, spans: Path, *options: str) -> tuple[int, Path]:
    out = spans.with_name("windows.parquet")
    code = main(["--bars", str(bars), "--spans", str(spans), "--out", str(out), *options])
    return code, out


def table(rows: Sequence[tuple[object, object, str]], header: str = "start,end,label") -> str:
    return header + "\n" + "".join(f"{a},{b},{word}\n" for a, b, word in rows)


def time_of(bar: int) -> str:
    """Return when a bar opens, as a table has it."""
    return str(np.datetime64(FIRST + 60 * bar, "s"))
