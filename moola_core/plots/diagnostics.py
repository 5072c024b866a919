"""Pictures of a run: probabilities, losses, sigmas, thresholds. `figures` says how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from moola_core.decoding.sweep import Tried
from moola_core.plots.style import BLUE, CYCLE, DASHES, GREY, VERMILLION, save_figure
from moola_core.spans.intervals import BoolArray, FloatArray

NUM_BINS = 25
# The epochs of one model, as events.jsonl has them; several models make an ensemble.
History = list[dict[str, Any]]


def draw_span_probs(path: Path, probs: FloatArray, inside: BoolArray) -> None:
    """``span_probs_soft.png``: which probabilities bars inside and outside of the span have.

    The share of bars is logarithmic, since nearly all bars outside lie near 0.

    Args:
        path: where to write.
        probs: ``(B, T)`` in 0..1.
        inside: ``(B, T)``, True inside the labelled span.
    """
    sides = (("inside the span", VERMILLION, "-", inside), ("outside", BLUE, "--", ~inside))

    def draw(axes: Any) -> None:
        for name, color, dashes, where in sides:
            part = probs[where]
            if not part.size:
                continue
            share, mean = np.full(part.shape, 1 / part.size), float(part.mean())
            label = f"{name}: {part.size:,} bars, mean {mean:.3f}"
            edges = np.linspace(0, 1, NUM_BINS + 1)
            axes.hist(part, edges, weights=share, color=color, alpha=0.3)
            axes.hist(
                part, edges, weights=share, histtype="step", color=color, ls=dashes, label=label
            )
            axes.axvline(mean, color=color, linestyle=dashes, linewidth=0.8)
        axes.set(xlim=(0, 1), xlabel="predicted span probability", ylabel="share of bars")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)

    save_figure(path, draw, panel=(4.2, 2.8))


def draw_reliability(path: Path, table: Mapping[str, list[dict[str, float]]]) -> None:
    """``reliability.png``: what came true of what was said with a probability.

    Args:
        path: where to write.
        table: by what was said, the rows of `moola_core.evaluation.metrics.reliability`.
    """
    words = {"bar": "a bar is inside", "confidence": "an answer hits (IoU ≥ 0.5)"}

    def draw(axes: Any) -> None:
        for one, (what, rows) in zip(np.ravel(axes), table.items(), strict=True):
            said, true = ([row[key] for row in rows] for key in ("mean", "true"))
            one.plot([0, 1], [0, 1], color=GREY, linestyle=":")
            if rows:  # without points, what isn't clipped has no extent to lay out
                one.plot(said, true, color=BLUE, marker="o", markersize=3, clip_on=False, zorder=3)
            for row in rows:
                number = f"{row['said']:,.0f}"
                at = (row["mean"], row["true"])
                offset = (4, -7) if row["true"] > 0.9 else (2, 4)  # the title is above
                one.annotate(number, at, offset, textcoords="offset points", fontsize=6)
            one.set(
                title=words[what],
                xlabel="probability said (number: how often)",
                ylabel="share that came true",
            )
            one.set(xlim=(0, 1), ylim=(0, 1))

    save_figure(path, draw, num_axes=len(table), panel=(2.8, 2.6))


def draw_losses(path: Path, histories: Sequence[History]) -> None:
    """``loss_curves.png``: the total of training and validation, one formula, one axis.

    The raw loss of each task has an axis of its own for the same reason.

    Args:
        path: where to write.
        histories: one a model, each with the same tasks.
    """
    first = histories[0][0]
    names = ["total", *(name for name in first["train"] if name != "total")]
    sides = [("train", BLUE, "-"), ("validation", VERMILLION, "--")]

    def draw(axes: Any) -> None:
        for one, name in zip(np.ravel(axes), names, strict=False):
            for side, color, dashes in sides:
                if first[side]:
                    values = [[entry[side][name] for entry in history] for history in histories]
                    _draw_models(one, histories, values, color=color, ls=dashes, label=side)
            one.set(
                title=name, xlabel="epoch", ylabel="weighted sum" if name == "total" else "loss"
            )
        np.ravel(axes)[0].legend()

    save_figure(path, draw, num_axes=len(names))


def draw_sigmas(path: Path, histories: Sequence[History]) -> None:
    """``sigma_curves.png``: each task's learnt sigma, and the weight that follows from it."""
    tasks = list(histories[0][0]["sigma"])

    def draw(axes: Any) -> None:
        for one, key in zip(np.ravel(axes), ("sigma", "share"), strict=True):
            for task, color, dashes in zip(tasks, cycle(CYCLE), cycle(DASHES), strict=False):
                values = [[entry[key][task] for entry in history] for history in histories]
                _draw_models(one, histories, values, color=color, ls=dashes, label=task)
        left, right = np.ravel(axes)
        left.set(xlabel="epoch", ylabel="learnt noise, sigma")
        right.set(xlabel="epoch", ylabel="share of 1/sigma²", ylim=(0, 1))
        left.legend()

    save_figure(path, draw, num_axes=2, panel=(3.4, 2.4))


def _draw_models(
    axes: Any,
    histories: Sequence[History],
    values: Sequence[Sequence[float]],
    *,
    label: str,
    **style: Any,
) -> None:
    """Draw a line a model over its own epochs; those of an ensemble thin, and named once."""
    thin = {"linewidth": 0.7, "alpha": 0.6} if len(values) > 1 else {}
    for number, (history, line) in enumerate(zip(histories, values, strict=True)):
        epochs = [entry["epoch"] for entry in history]
        marker = "o" if len(epochs) == 1 else None
        axes.xaxis.get_major_locator().set_params(integer=True)
        if marker:  # whole numbers on both sides, where the range has but one
            axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
        more = {"label": label} if number == 0 else {}
        axes.plot(epochs, line, marker=marker, markersize=3, **style, **thin, **more)


def draw_sweeps(
    path: Path, sweeps: Mapping[str, Sequence[Tried]], own: Tried | None = None
) -> None:
    """``thresholds.png``: F1, precision and recall on validation by the constant of a decoder.

    Args:
        path: where to write.
        sweeps: by the constant's name in `DecoderConfig`, ``threshold`` or ``bias``.
        own: the decoder in use, for comparison: a point on the sweep of its kind, else a level.
    """
    words = {"threshold": "threshold of the span probability", "bias": "bias of best_span"}
    kinds = {"threshold": "threshold", "bias": "best_span"}
    scores = (
        ("f1", "F1", VERMILLION),
        ("precision", "precision", BLUE),
        ("recall", "recall", GREY),
    )

    def draw(axes: Any) -> None:
        for one, (key, tried) in zip(np.ravel(axes), sweeps.items(), strict=True):
            constants = [getattr(each.decoder, key) for each in tried]
            for (score, label, color), dashes in zip(scores, DASHES, strict=False):
                # Where nothing is called inside, precision and F1 are not defined.
                values = [getattr(each, score) if each.recall else np.nan for each in tried]
                one.plot(constants, values, color=color, linestyle=dashes, label=label)
            if own is not None and own.decoder.kind == kinds[key]:
                at = getattr(own.decoder, key)
                label = f"chosen, {at:g}: F1 {own.f1:.3f}"
                one.plot([at], [own.f1], "o", color="black", markersize=4, label=label)
            elif own is not None:
                label = f"{own.decoder.kind}: F1 {own.f1:.3f}"
                one.axhline(own.f1, color="black", linestyle="-.", linewidth=0.8, label=label)
            one.set(xlabel=words[key], ylabel="score over bars", ylim=(0, 1))
            one.set_xlim(min(constants), max(constants))
            one.legend()

    save_figure(path, draw, num_axes=len(sweeps), panel=(3.6, 2.5))
