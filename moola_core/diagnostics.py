"""Pictures of a run, as PNG. matplotlib is imported when the first one is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from moola_core.spans import BoolArray, FloatArray


def draw_span_probs(path: Path, probs: FloatArray, inside: BoolArray) -> None:
    """``span_probs_soft.png``: histograms of the bars inside and outside, with both means.

    Args:
        path: where to write.
        probs: ``(B, T)`` in 0..1.
        inside: ``(B, T)``, True inside the labelled span.
    """

    def draw(axes: Any) -> None:
        for name, color, part in (
            ("in span", "C1", probs[inside]),
            ("outside", "C0", probs[~inside]),
        ):
            if not part.size:
                continue
            mean = float(part.mean())
            axes.hist(part, bins=50, range=(0, 1), density=True, alpha=0.5, color=color)
            axes.axvline(mean, color=color, label=f"{name}: mean {mean:.3f}, {part.size} bars")
        axes.set(
            xlabel="span probability", ylabel="density", title="Bars inside and outside the span"
        )
        axes.legend()

    save_figure(path, draw)


def draw_losses(path: Path, history: list[dict[str, Any]]) -> None:
    """``loss_curves.png``: the total of training and validation, one formula, one axis.

    The raw loss of each task has an axis of its own for the same reason.
    """
    tasks = [name for name in history[0]["train"] if name != "total"]
    sides = ("train", "validation") if history[0]["validation"] else ("train",)

    def draw(axes: Any) -> None:
        for one, name in zip(axes.ravel(), ("total", *tasks), strict=False):
            for side in sides:
                one.plot(_epochs(history), [entry[side][name] for entry in history], label=side)
            one.set(title=name, xlabel="epoch")
            one.legend()
        for unused in axes.ravel()[len(tasks) + 1 :]:
            unused.set_visible(False)

    save_figure(path, draw, num_axes=len(tasks) + 1)


def draw_sigmas(path: Path, history: list[dict[str, Any]]) -> None:
    """``sigma_curves.png``: each task's learnt sigma by epoch."""

    def draw(axes: Any) -> None:
        for task in history[0]["sigma"]:
            axes.plot(_epochs(history), [entry["sigma"][task] for entry in history], label=task)
        axes.set(xlabel="epoch", ylabel="sigma", title="Learnt noise of each task")
        axes.legend()

    save_figure(path, draw)


def draw_sweeps(
    path: Path,
    thresholds: list[tuple[float, float, float, float]],
    biases: list[tuple[float, float, float, float]],
) -> None:
    """``thresholds.png``: F1, precision and recall by the constant of two decoders.

    Rows are constant, F1, precision, recall.
    """

    def draw(axes: Any) -> None:
        sweeps = (("threshold", thresholds), ("bias of best_span", biases))
        for one, (name, rows) in zip(axes.ravel(), sweeps, strict=True):
            constant, *scores = zip(*rows, strict=True)
            for score, label in zip(scores, ("F1", "precision", "recall"), strict=True):
                one.plot(constant, score, label=label)
            one.set(title=f"by {name}", xlabel=name, ylim=(0, 1))
            one.legend()

    save_figure(path, draw, num_axes=2)


def _epochs(history: list[dict[str, Any]]) -> list[int]:
    return [entry["epoch"] for entry in history]


def save_figure(path: Path, draw: Callable[[Any], None], num_axes: int = 1) -> None:
    """Write a PNG of so many axes, three a row; `draw` is given them."""
    # Figure without pyplot: no window system, no global state, nothing to close.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(num_axes, 3)
    rows = -(-num_axes // columns)
    figure = Figure(figsize=(4 * columns + 3, 3 * rows + 1.5), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.subplots(rows, columns))
    figure.savefig(path, dpi=110)
