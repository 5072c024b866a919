"""Colours, and the shapes that panels share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

TRAIN, VALIDATION, GOOD, WARN, BAD, QUIET = "cyan", "magenta", "green", "yellow", "bold red", "dim"
AWAY = "bold cyan"
NO_NUMBERS = ("nan", "inf", "-inf")
STATE_STYLES = {
    "RUNNING": "bold green",
    "SUCCEEDED": "bold green",
    "QUEUED": "bold yellow",
    "PREPARING": "bold yellow",
    "STARTING": "bold yellow",
    "CANCELLED": "bold yellow",
    "PREEMPTED": "bold yellow",
}
NAME_WIDTH = 12
MAX_TASKS = 12


def fit(name: str, size: int) -> str:
    """Return `name`, cut to `size` columns with an ellipsis."""
    return name if len(name) <= size else name[: size - 1] + "…"


def rule(width: int, words: Mapping[int, str]) -> Text:
    """Return a line across, with words let in at their columns."""
    from rich.text import Text

    line = ["─"] * width
    for at, word in words.items():
        line[at - 1 : at + len(word) + 1] = f" {word} "
    return Text("".join(line[:width]), QUIET)
