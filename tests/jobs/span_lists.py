"""Bars, the spans in them, and lists of spans as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jobs.windows import main

NUM_BARS = 2000


SPANS = [(200, 207, "up"), (420, 440, "down"), (900, 905, "spike"), (1500, 1512, "up")]


def run(bars: Path, spans: Path, *options: str) -> tuple[int, Path]:
    out = spans.with_name("windows.parquet")
    code = main(["--bars", str(bars), "--spans", str(spans), "--out", str(out), *options])
    return code, out


def table(rows: Sequence[tuple[object, object, str]], header: str = "start,end,label") -> str:
    return header + "\n" + "".join(f"{a},{b},{word}\n" for a, b, word in rows)
