"""The page of several runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moola_remote.report import html
from moola_remote.report.comparison import Comparison, Rival, Split
from moola_remote.report.plot_data import card, epochs_of
from moola_remote.report.score_names import in_order
from moola_remote.report.score_tables import WORDS, Cell, ScoreTable, best_of, cell_of

MAX_FLIPS = 200
MAX_POINTS = 5000
CURVES = {
    "validation.total": "Loss on validation, total",
    "train.total": "Loss of training, total",
    "scores.f1": "Bar F1 on validation",
    "scores.iou": "Mean IoU on validation",
}


def write_comparison(compared: Comparison, path: Path) -> None:
    """Write the page.

    Raises:
        ConfigError: it can't be written, or what lies there is no page of ours.
    """
    html.write(path, page(compared))


def page(compared: Comparison) -> str:
    """Return the page, as HTML."""
    runs = [
        {"label": label, "id": run.run_id, "epochs": epochs_of(run)}
        for label, run in zip(compared.labels, compared.runs, strict=True)
    ]
    galleries = {
        f"{side}-{rival.label}": _flips(compared, rival)
        for side, split in compared.splits.items()
        for rival in split.rivals
    }
    sides = {
        **{side: {"against": _against(split)} for side, split in compared.splits.items()},
        **{name: {"gallery": cards} for name, cards in galleries.items()},
    }
    return html.render(
        "compare.html",
        {"types": _types(compared), "runs": runs, "sides": sides},
        compared=compared,
        boards={side: _board(compared, split) for side, split in compared.splits.items()},
        rules={side: _rules(split) for side, split in compared.splits.items()},
        curves=[(key, title) for key, title in CURVES.items() if _has(runs, key)],
        galleries=galleries,
    )


def _types(compared: Comparison) -> list[str]:
    return max((run.types for run in compared.runs), key=len, default=[])


def _has(runs: list[dict[str, Any]], key: str) -> bool:
    table, name = key.split(".")
    return any(name in run["epochs"][table] for run in runs)


def _against(split: Split) -> dict[str, list[tuple[float, float, str]]]:
    """IoU of the first run, of the other, and the window; by the other's label."""
    return {
        rival.label: [
            (round(one.iou, 4), round(other.iou, 4), one.window_id)
            for one, other in rival.pairs[:MAX_POINTS]
        ]
        for rival in split.rivals
        if rival.pairs
    }


def _flips(compared: Comparison, rival: Rival) -> list[dict[str, Any]]:
    first = compared.labels[0]
    return [card([(first, one), (rival.label, other)]) for one, other in rival.flipped[:MAX_FLIPS]]


def _board(compared: Comparison, split: Split) -> ScoreTable:
    """Return the runs, then leads over the first; a lead whose interval excludes 0 is marked."""
    rivals = [rival for rival in split.rivals if rival.lead is not None]
    rows = []
    for name in in_order(WORDS, split.scores):
        best = best_of(name, split.scores)
        cells = [cell_of(scores.get(name), best) for scores in split.scores]
        rows.append(
            (WORDS.get(name, name), [*cells, *(_lead_cell(rival, name) for rival in rivals)])
        )
    heads = [*compared.labels, *(f"{rival.label} - {compared.labels[0]}" for rival in rivals)]
    return ScoreTable(heads, rows)


def _lead_cell(rival: Rival, name: str) -> Cell:
    score = rival.lead.leads.get(name) if rival.lead else None
    cell = cell_of(score, form="+.3f")
    is_clear = score is not None and (score.low > 0 or score.high < 0)
    return Cell(cell.text, cell.interval, is_best=is_clear)


def _rules(split: Split) -> list[tuple[str, ScoreTable]]:
    tables = []
    for labels, rules in split.rules.items():
        rows = [
            (WORDS.get(name, name), [cell_of(scores.get(name)) for scores in rules.values()])
            for name in in_order(WORDS, rules.values())
        ]
        tables.append((labels, ScoreTable(list(rules), rows)))
    return tables
