"""A page that is visited: as it is drawn, what it asked for, what it printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}


PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "color_scheme": "dark",
    "has_touch": True,
}


VIEWS = {"desktop, light": DESKTOP, "phone, dark": PHONE}


# Pixels of each canvas that are not the paper: an empty plot has only its axes.
INK = """
canvas => {
  const layers = [...canvas.querySelectorAll("canvas")];
  return Math.max(...layers.map(layer => {
    const { data } = layer.getContext("2d").getImageData(0, 0, layer.width, layer.height);
    let count = 0;
    for (let i = 3; i < data.length; i += 4) count += data[i] > 0;
    return count;
  }));
}
"""


@dataclass
class Visit:
    """A page that was opened, and what it did meanwhile."""

    page: Page
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def assert_quiet(self, url: str) -> None:
        """No console line, no error, no dialog, no request but the file itself."""
        assert self.messages == []
        assert self.requests == [url]


Visiting = Callable[[Path, dict[str, Any]], Visit]
