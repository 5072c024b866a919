"""The tables of a run's page: scores with intervals beside the rules, and types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moola_remote.protocol.result import Score
from moola_remote.report.run_files import SIDES, RunFiles
from moola_remote.report.score_names import in_order, is_low_good

# A page has room for words, unlike a terminal.
WORDS = {
    "f1": "bar F1",
    "iou": "mean IoU",
    "iou50": "windows with IoU ≥ 0.5",
    "hit3": "both ends within 3 bars",
    "type_f1": "type macro-F1",
    "average_precision": "average precision",
    "precision": "bar precision",
    "recall": "bar recall",
    "center_mae": "error of the centre, bars",
    "length_mae": "error of the length, bars",
    "in_span": "probability inside",
    "out_span": "probability outside",
    "gap": "inside less outside",
    "ece": "calibration error",
    "reconstruction": "error of a hidden value",
}
HEADLINES = ("f1", "iou50", "type_f1", "hit3", "reconstruction")


@dataclass(frozen=True)
class Cell:
    """A score as a table shows it."""

    text: str
    interval: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Headline:
    """One number that a reader asks for first, and the best rule beside it."""

    name: str
    score: Cell
    rule: str


@dataclass(frozen=True)
class ScoreTable:
    """Scores as rows, a run's splits and the rules as columns."""

    heads: list[str]
    rows: list[tuple[str, list[Cell]]]


def scoreboard(run: RunFiles) -> ScoreTable:
    """Return validation and test scores, and the rules on the windows that they were judged on."""
    columns = {side: scores_of_side(run, side) for side in SIDES}
    columns = {side: scores for side, scores in columns.items() if scores}
    if run.result is not None:
        columns |= {f"rule {name}": scores for name, scores in run.result.baselines.items()}
    rivals = [name for name in columns if name == run.judged_side or name not in SIDES]
    rows = []
    for name in in_order(WORDS, columns.values()):
        best = best_of(name, [columns[rival] for rival in rivals])
        cells = [
            cell_of(scores.get(name), best if column in rivals else math.nan)
            for column, scores in columns.items()
        ]
        rows.append((WORDS.get(name, name), cells))
    return ScoreTable(list(columns), rows)


def best_of(name: str, columns: Sequence[Mapping[str, Score]]) -> float:
    """Return the best value of a score; NaN unless there are two to compare."""
    values = [column[name].value for column in columns if name in column]
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return math.nan
    return min(finite) if is_low_good(name) else max(finite)


def cell_of(score: Score | None, best: float = math.nan, *, form: str = ".3f") -> Cell:
    """Return a value and its interval."""
    if score is None or not math.isfinite(score.value):
        return Cell("-")
    has_interval = math.isfinite(score.low) and math.isfinite(score.high)
    interval = f"{score.low:{form}} to {score.high:{form}}" if has_interval else ""
    return Cell(f"{score.value:{form}}", interval, is_best=score.value == best)


def headlines(run: RunFiles) -> list[Headline]:
    """Return the first numbers of the page, each with the best rule."""
    scores = scores_of_side(run, run.judged_side)
    return [
        Headline(WORDS[name], cell_of(scores[name]), _best_rule(run, name))
        for name in HEADLINES
        if name in scores and math.isfinite(scores[name].value)
    ]


def _best_rule(run: RunFiles, name: str) -> str:
    rules = run.result.baselines if run.result else {}
    known = {
        rule: scores[name].value
        for rule, scores in rules.items()
        if name in scores and math.isfinite(scores[name].value)
    }
    if not known:
        return ""
    best = (min if is_low_good(name) else max)(known, key=known.__getitem__)
    return f"best rule {known[best]:.3f} ({best.replace('_', ' ')})"


@dataclass(frozen=True)
class Confusion:
    """Windows, or hits of several spans, by true (rows) and predicted type (columns).

    Shades are 0 to 9 of a row's share.
    """

    side: str
    types: list[str]
    rows: list[list[tuple[int, int]]]


def confusions(run: RunFiles) -> list[Confusion]:
    """One a split that has types; a type without a name is shown where it occurs."""
    found = []
    for side in run.sides:
        pairs = [pair for window in run.of_side(side) for pair in window.typed]
        if pairs:
            unnamed = range(len(run.types), max(map(max, pairs)) + 1)
            found.append(_confusion(side, pairs, [*run.types, *(f"type {i}" for i in unnamed)]))
    return found


def _confusion(side: str, pairs: Sequence[tuple[int, int]], names: list[str]) -> Confusion:
    rows = []
    for true in range(len(names)):
        counts = [pairs.count((true, said)) for said in range(len(names))]
        total = sum(counts) or 1
        rows.append([(count, 9 * count // total) for count in counts])
    return Confusion(side, names, rows)


def scores_of_side(run: RunFiles, side: str) -> Mapping[str, Score]:
    """Return what ``result.json`` says of one split."""
    if run.result is None:
        return {}
    scores = run.result.scores
    return scores.validation if side == "validation" else scores.test or {}
