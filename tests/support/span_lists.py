"""Lists of spans beside 600 bars of a minute, and how they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from moola_core.data.series import Bars
from moola_core.data.spans_file import read_spans
from moola_core.data.times import Clock

FIRST = 1_704_205_800  # 2024-01-02 14:30 UTC


BARS = Bars(np.ones((600, 4)), (FIRST + 60 * np.arange(600)) * 10**9)


TWO = [(10, 15, "up"), (30, 42, "down")]  # half-open


def clock(bar: int) -> str:
    return str(np.datetime64(FIRST + 60 * bar, "s")).replace("T", " ")


def spans_of(path: Path, **options: str | None) -> list[tuple[int, int, str]]:
    ends, unit, label = (options.get(name) for name in ("ends", "unit", "label"))
    times = Clock(str(path), "UTC", dates=options.get("dates"))  # type: ignore[arg-type]
    found, faults = read_spans(path, BARS, times, ends, unit, label)  # type: ignore[arg-type]
    assert faults == []
    return [(one.start, one.stop, one.label) for one in found]


def rows(header: str, *lines: str) -> str:
    return "\n".join([header, *lines]) + "\n"
