"""Bars as text in the layout of a header, and what they have to be read as."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from moola_core.data.series import ReadOptions, open_bars

FIRST = 1_704_205_800  # 2024-01-02 14:30 UTC


# Two bars: 14:30 and 14:31 UTC, in New York 09:30 and 09:31.
PRICES = np.array([[100.25, 101.5, 99.5, 100.75], [100.75, 102.0, 100.5, 101.25]])


def assert_read(path: Path, options: ReadOptions | None = None, says: str = "") -> None:
    file = open_bars(path, options)
    bars = next(file.chunks())
    assert bars.time is not None
    assert (bars.time // 10**9).tolist() == [FIRST, FIRST + 60]
    np.testing.assert_allclose(bars.prices, PRICES, rtol=1e-12)
    assert says in file.describe()


ROWS = ("100.25,101.5,99.5,100.75", "100.75,102,100.5,101.25")


def text(header: str, *times: str, end: str = "", sep: str = ",") -> str:
    rows = [f"{time},{prices}{end}" for time, prices in zip(times, ROWS, strict=True)]
    return "\n".join([header, *rows] if header else rows).replace(",", sep) + "\n"


OHLC = "open,high,low,close"
