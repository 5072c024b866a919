"""Bars with humps where a list of spans says, for jobs that learn spans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_humps(
    folder: Path, spans: Sequence[tuple[int, int]], num_bars: int, time: pa.Array | None = None
) -> None:
    """Write ``bars.parquet``, with times where they are given, and ``spans.csv``, half-open."""
    rng = np.random.default_rng(0)
    close = 100 + rng.normal(0, 0.1, num_bars).cumsum()
    for start, stop in spans:
        close[start:stop] += 5 * np.sin(np.pi * (np.arange(stop - start) + 0.5) / (stop - start))
    opened = np.r_[close[0], close[:-1]]
    high, low = np.maximum(opened, close) + 0.05, np.minimum(opened, close) - 0.05
    stamps = {} if time is None else {"timestamp": time}
    table = {**stamps, "open": opened, "high": high, "low": low, "close": close}
    pq.write_table(pa.table(table), folder / "bars.parquet")
    rows = "".join(f"{a},{b},hump\n" for a, b in spans)
    (folder / "spans.csv").write_text("start,end,label\n" + rows)
