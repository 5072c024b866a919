"""A table that a press on a column's head sorts: its heads, and its cells as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from moola_remote.report import html


@dataclass(frozen=True)
class Head:
    """One column; the first press on its head sorts it downwards, or upwards."""

    text: str
    is_number: bool = False
    is_down_first: bool = True


@dataclass(frozen=True)
class Field:
    """One cell: what is read, what it is sorted by (empty where there is nothing), what is below.

    `link` is where the page of what it names is, or empty.
    """

    text: str
    order: float | str = ""
    small: str = ""
    link: str = ""


def cells_of(fields: Sequence[Field], heads: Sequence[Head], *, has_name: bool = False) -> str:
    """Return `fields` as HTML, each below its head; where `has_name`, the first names the row."""
    return str(_macro()(fields, heads, has_name))


@cache
def _macro() -> Any:
    return html.macro("parts.html", "sortable_cells")
