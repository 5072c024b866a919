"""The page of one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moola_remote.report import html, score_tables
from moola_remote.report.index_rows import PAGE
from moola_remote.report.metadata import command_of, decoder_words, facts, state_words
from moola_remote.report.plot_data import plots
from moola_remote.report.run_files import RunFiles, read_run

SHARES = {
    "sigma": ("Sigma", "Learnt noise of each task."),
    "share": ("Share of the precisions", "How much each task weighs in the loss."),
    "gradient_share": ("Share of the gradient", "How much each task pulls at the encoder."),
}
UNITS = {"%": "Use, per cent", "GiB": "Memory, GiB"}


def write_report(folder: Path, path: Path | None = None) -> Path:
    """Write the page of a fetched run, by default into its folder; returns where it is.

    Raises:
        ConfigError: the folder holds no run, or the page can't be written.
    """
    path = path or folder / PAGE
    html.write(path, report(read_run(folder)))
    return path


def report(run: RunFiles) -> str:
    """Return the page of one run, as HTML."""
    drawn = plots(run)
    epochs, sides = drawn["epochs"], drawn["sides"]
    measures = [name for name in drawn["time"]["samples"] if name != "t"]
    return html.render(
        "report.html",
        drawn,
        run=run,
        state=state_words(run),
        summary=_summary(run),
        board=score_tables.scoreboard(run),
        headlines=score_tables.headlines(run),
        judged=run.judged_side,
        has_epochs=bool(epochs["epoch"]),
        losses=_losses(epochs),
        models=_models(run),
        shares=[(key, *words) for key, words in SHARES.items() if epochs[key]],
        has_epoch_scores=bool(epochs["scores"]),
        sides=list(sides),
        counts={side: part["num_windows"] for side, part in sides.items()},
        shown={side: len(part["gallery"]) for side, part in sides.items()},
        gallery_words={side: _gallery_words(part) for side, part in sides.items()},
        decoder=decoder_words(run),
        confusions=score_tables.confusions(run),
        has_phases=bool(drawn["time"]["phases"]),
        knows_idle=drawn["time"]["idle"] is not None,
        measures=[
            (unit, title)
            for unit, title in UNITS.items()
            if any(name.endswith(unit) for name in measures)
        ],
        facts=facts(run),
    )


def _summary(run: RunFiles) -> str:
    event = run.view.run
    if event is None:
        return command_of(run)
    parts = [event.recipe, event.device, f"seed {event.seed}" if event.seed is not None else ""]
    return " · ".join(part for part in parts if part)


def _losses(epochs: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the losses to draw, each with a note; without a lone task's that is the total."""
    train, validation = epochs["train"], epochs["validation"]
    total = [table.get("total") for table in (train, validation)]
    names = [name for name in train if [train[name], validation.get(name)] != total]
    words = "Training and validation by the same formula." if validation else "No validation."
    return [*((("total", words),) if "total" in train else ()), *((name, "") for name in names)]


def _models(run: RunFiles) -> str:
    """Return how the epochs of an ensemble are to be read."""
    if run.num_models == 1:
        return ""
    each = run.view.num_epochs // run.num_models
    return f"{run.num_models} models of {each} epochs each, one after the other."


def _gallery_words(part: dict[str, Any]) -> str:
    shown, total = len(part["gallery"]), part["num_windows"]
    which = (
        f"The {shown:,} worst of {total:,} windows" if shown < total else f"All {total:,} windows"
    )
    return f"{which}. Below the bars: the probability of each to be inside, the soft mask."
