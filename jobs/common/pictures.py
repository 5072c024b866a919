"""The pictures among the artifacts."""

from __future__ import annotations

from pathlib import Path

from jobs.common.fitting import Loaded, truth_of
from jobs.common.forked import beside, can_fork
from moola_core.decoding.decode import Decoded, Predictions
from moola_core.decoding.sweep import THRESHOLDS, sweep, thresholds, tried
from moola_core.evaluation.matching import said_sets
from moola_core.evaluation.metrics import window_sums
from moola_core.evaluation.reliability import reliability
from moola_core.inference.trained_model import TrainedModel
from moola_core.plots import diagnostics
from moola_core.plots.gallery import draw_gallery
from moola_core.plots.style import import_matplotlib


def draw_pictures(
    loaded: Loaded, folder: Path, trained: TrainedModel, said: tuple[Predictions, Decoded] | None
) -> None:
    """Each picture as PNG and SVG; `said` is what was said of ``loaded.judged``, if anything."""
    windows = loaded.judged
    if windows is None or said is None:
        _draw_training(loaded, folder)
        return
    predictions, decoded = said
    found, probs = said_sets(decoded), predictions.span_probs
    names = [str(name) for name in windows.window_id]

    def gallery() -> None:
        draw_gallery(folder / "gallery.png", windows.bars, windows.sets, found, probs, names)

    is_forked = can_fork(loaded.device, loaded.recipe.training.threads)
    if is_forked:
        import_matplotlib()
    # half of the work is the gallery
    with beside(gallery, "gallery.png", is_forked=is_forked):
        _draw_training(loaded, folder)
        diagnostics.draw_span_probs(folder / "span_probs_soft.png", probs, windows.inside)
        if trained.decoder.kind != "disjoint":  # thresholds give one span a window
            swept = sweep(predictions, windows.spans, thresholds(THRESHOLDS))
            own = tried(trained.decoder, decoded, windows.spans)
            diagnostics.draw_sweeps(folder / "thresholds.png", {"threshold": swept}, own)
        sums = window_sums(decoded, predictions, truth_of(windows))
        pooled = {name: part.sum(axis=0) for name, part in sums.items()}
        reliable = {what: reliability(pooled, what) for what in ("bar", "confidence")}
        diagnostics.draw_reliability(folder / "reliability.png", reliable)


def _draw_training(loaded: Loaded, folder: Path) -> None:
    """Draw how losses and sigmas went."""
    # those of one kind, as their tasks are one table: of networks with columns the networks
    kind = loaded.runs[0].recipe.model
    histories = [run.progress.history for run in loaded.runs if run.recipe.model == kind]
    diagnostics.draw_losses(folder / "loss_curves.png", histories)
    diagnostics.draw_sigmas(folder / "sigma_curves.png", histories)
