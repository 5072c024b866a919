"""Durations, bytes and scores as text."""

from __future__ import annotations

import math


def amount(size: float) -> str:
    """Bytes in words: ``3.1 MB``."""
    if size < 1e5:
        return f"{size / 1e3:.1f} kB"
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


GIB = 2**30


def duration(seconds: float) -> str:
    """``45s``, ``12m 05s``, ``3h 05m``, ``2d 04h``."""
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 1:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 1:
        return f"{minutes}m {rest:02}s"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02}h" if days else f"{hours}h {minutes:02}m"


def loss(value: float) -> str:
    """Seven characters at most, the same number of digits for most."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= 10_000:
        return f"{value:.1e}"
    return f"{value:.{4 if size < 10 else 3 if size < 100 else 2}f}"


def score(value: float) -> str:
    """Return a score or a sigma in five characters; ``-`` where there is none."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else str(value)
    size = abs(value)
    if size >= 99_999.5:
        return f"{value:.0e}"
    return f"{value:.{3 if size < 9.9995 else 2 if size < 99.995 else 1 if size < 999.95 else 0}f}"


def percent(value: float) -> str:
    """Return a share; ``-`` where there is none."""
    return f"{value:.0%}" if math.isfinite(value) else "-"


def whole(value: float) -> str:
    """Format a number without decimals; what is not finite is a dash."""
    return f"{value:.0f}" if math.isfinite(value) else "-"


def gib(value: float) -> str:
    """Format bytes in GiB; what is not finite is a dash."""
    return f"{value / GIB:.1f}" if math.isfinite(value) else "-"
