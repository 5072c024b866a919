"""Windows of bars as pictures: candlesticks with the spans that are true, found or doubted.

A candle is hollow where the bar closed at or above its open, filled where below: no colour is
spent on it. Letters: B windows, T bars.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from moola_core.plots.style import BLUE, GREY, VERMILLION, save_figure
from moola_core.spans.intervals import FloatArray, IntArray, sets_mask

NUM_PANELS = 9


def draw_gallery(
    path: Path,
    bars: FloatArray,
    true: IntArray,
    found: IntArray,
    probs: FloatArray,
    names: list[str],
) -> None:
    """``gallery.png``: nine windows, evenly spaced from the worst overlap to the best.

    Args:
        path: where to write.
        bars: ``(B, T, 4)``, open, high, low, close.
        true: ``(B, M, 2)``, the labelled spans, ``[0, 0)`` after the last.
        found: the same of the decoder; all empty where it abstains.
        probs: ``(B, T)`` in 0..1, the soft mask: each bar's probability to be inside.
        names: ``(B,)``, the windows' names.
    """
    num_bars = bars.shape[1]
    inside, said = sets_mask(true, num_bars), sets_mask(found, num_bars)
    iou = (inside & said).sum(axis=1) / np.maximum((inside | said).sum(axis=1), 1)
    order = np.argsort(iou, kind="stable")
    places = np.linspace(0, len(order) - 1, min(NUM_PANELS, len(order))).round().astype(int)

    def draw(axes: Any) -> None:
        for panel, row in zip(np.ravel(axes), order[places], strict=False):
            _draw_window(panel, bars[row], true[row], found[row], probs[row])
            panel.set_title(f"{names[row]}   IoU {iou[row]:.2f}", fontsize=6.5)
        for panel in np.ravel(axes):
            panel.label_outer()
            panel.tick_params(labelbottom=True, labelleft=True)
        first = np.ravel(axes)[0]
        first.figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=4)

    save_figure(path, draw, num_axes=len(places), panel=(2.4, 1.8))


def _draw_window(
    axes: Any, bars: FloatArray, true: IntArray, found: IntArray, probs: FloatArray
) -> None:
    """One window; the lower fifth is the soft mask, from 0 to 1."""
    draw_candles(axes, bars)
    low, high = bars.min(), bars.max()
    height = (high - low) or 1.0
    axes.set(xlim=(-1, len(bars)), ylim=(low - 0.32 * height, high + 0.05 * height))
    for k, (start, stop) in enumerate(true[: max(int((true[:, 1] > 0).sum()), 1)]):
        label = {"label": "labelled span"} if k == 0 else {}
        axes.axvspan(start - 0.5, stop - 0.5, color=BLUE, alpha=0.25, lw=0, **label)
    for k, (start, stop) in enumerate(found[found[:, 1] > found[:, 0]]):
        label = {"label": "found span"} if k == 0 else {}
        ends = (start - 0.5, stop - 0.5)
        axes.axvspan(*ends, fill=False, edgecolor=VERMILLION, lw=1.2, **label)
    floor = low - 0.3 * height
    place = np.arange(len(bars))
    axes.fill_between(
        place,
        floor,
        floor + 0.2 * height * probs,
        step="mid",
        color=VERMILLION,
        alpha=0.6,
        linewidth=0,
        label="span probability (0 to 1)",
    )
    axes.axhline(floor, color=GREY, linewidth=0.4)
    axes.axhline(floor + 0.2 * height, color=GREY, linewidth=0.4, linestyle=":")
    axes.set(xlabel="bar (1 min)", ylabel="price")
    axes.locator_params(axis="y", nbins=4)


def draw_candles(axes: Any, bars: FloatArray) -> None:
    """Open, high, low, close ``(T, 4)``: a line from low to high, a box from open to close."""
    from matplotlib.collections import PolyCollection

    opened, high, low, close = bars.T
    place = np.arange(len(bars))
    bottom, top = np.minimum(opened, close), np.maximum(opened, close)
    axes.vlines([*place, *place], [*low, *top], [*bottom, *high], color="black", linewidth=0.4)
    left, right = place - 0.35, place + 0.35
    corners = [(left, bottom), (left, top), (right, top), (right, bottom)]
    face = np.where(close >= opened, "white", "black")
    # One collection: a patch for each bar takes twice as long.
    boxes = np.array(corners).transpose(2, 0, 1)
    axes.add_collection(
        PolyCollection(boxes, facecolors=face, edgecolors="black", linewidths=0.3, zorder=2.5)
    )
