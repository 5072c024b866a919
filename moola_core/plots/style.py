"""How every picture looks and is written: PNG for screens, SVG for papers.

Colours are those of Okabe & Ito (2008), which the colour-blind can distinguish. matplotlib is
imported when the first picture is drawn, and without pyplot: no window system, no global state.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
GREY = "#666666"
DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))  # distinct in grey, too
PANEL = (2.4, 1.9)  # inches; three beside each other fill the 7 inches between a journal's margins
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "text.parse_math": False,  # names of windows and tasks are not formulas
    "svg.hashsalt": "moola",  # the same picture is the same file
}


def import_matplotlib() -> None:
    """Import what draws a picture, so that the first one need not."""
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401


def save_figure(
    path: Path,
    draw: Callable[[Any], None],
    num_axes: int = 1,
    *,
    columns: int = 3,
    panel: tuple[float, float] = PANEL,
) -> None:
    """Write `path` (a PNG) and the same as SVG beside it; `draw` is given so many axes.

    Args:
        path: ends in ``.png``.
        draw: draws on one axes, or on an array of them.
        num_axes: how many; what is too much of the last row is not shown.
        columns: axes in a row.
        panel: width and height of one, in inches.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = min(num_axes, columns)
    rows = -(-num_axes // columns)
    with rc_context(STYLE):
        size = (max(panel[0] * columns, 3.5), max(panel[1] * rows, 2.4))
        figure = Figure(figsize=size, dpi=200)
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns)
        for unused in getattr(axes, "flat", [axes])[num_axes:]:
            unused.set_visible(False)
        draw(axes)
        # Once for both files: as the figure's own, each would be laid out by a drawing of its own.
        ConstrainedLayoutEngine().execute(figure)
        figure.savefig(path)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
