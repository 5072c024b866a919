"""``results/index.html``: every fetched run in one table, to sort and to open."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from moola_remote.protocol.result import Scores
from moola_remote.report import html
from moola_remote.report.index_rows import INDEX, MEMORY, PAGE, Row, RowMemory
from moola_remote.report.metadata import instant
from moola_remote.report.run_files import RunFiles, read_run
from moola_remote.report.score_names import SCORES, is_low_good
from moola_remote.report.score_tables import cell_of
from moola_remote.report.sortable import Field, Head, cells_of
from moola_remote.text.format import duration

# As many as fit on a desk; each run's page has all. A pre-training run has the last alone.
SHOWN = ("f1", "iou50", "type_f1", "reconstruction")
_FACTS = (Head("run"), Head("state"), Head("recipe"), Head("on"))
_COSTS = (Head("took", True), Head("cost", True))


def write_index(folder: Path) -> Path:
    """Write the page of all fetched runs of a folder, the newest first; returns where it is.

    Raises:
        ConfigError: it can't be written, or what lies there is no page of ours.
    """
    specs = sorted(folder.glob("[!.]*/spec.json"), reverse=True)
    memory = RowMemory(folder / MEMORY)
    rows = [memory.row(path.parent, _row) for path in specs]
    html.write(folder / INDEX, index(rows))
    memory.save({path.parent.name for path in specs})
    return folder / INDEX


def index(known: Sequence[Row]) -> str:
    """Return the page, as HTML."""
    names = [name for name in SHOWN if any(name in row.scores for row in known)]
    heads = [*_FACTS, *map(_score_head, names), *_COSTS]
    empty = cells_of([Field("")], [Head("", True)])
    rows = [
        "".join([row.facts, *(row.scores.get(name, empty) for name in names), row.costs])
        for row in known
    ]
    return html.render("index.html", None, scripts=("index.js",), heads=heads, rows=rows)


def _score_head(name: str) -> Head:
    return Head(SCORES[name], True, not is_low_good(name))


def _row(folder: Path) -> Row:
    run = read_run(folder, is_brief=True)
    judged = _judged(run)
    scores = {
        name: cells_of([_score(judged, name)], [_score_head(name)])
        for name in SHOWN
        if name in judged
    }
    facts = cells_of(_facts(run), _FACTS, has_name=True)
    return Row(facts, scores, cells_of(_costs(run), _COSTS))


def _judged(run: RunFiles) -> Scores:
    if run.result is None:
        return {}
    return run.result.scores.test or run.result.scores.validation


def _name(run: RunFiles) -> Field:
    queued = run.state.queued_at if run.state else None
    has_page = (run.folder / PAGE).is_file()
    link = f"{quote(os.fsencode(run.folder.name))}/{PAGE}" if has_page else ""
    return Field(run.run_id, run.run_id, instant(queued) if queued is not None else "", link)


def _facts(run: RunFiles) -> list[Field]:
    state, result = run.state, run.result
    recipe = result.recipe if result else run.config.get("name", "")
    said = state.state.lower() if state else ""
    side = run.judged_side if _judged(run) else ""
    return [
        _name(run),
        Field(said, said, state.reason or "" if state else ""),
        Field(recipe, recipe, result.device if result else ""),
        Field(side, side),
    ]


def _costs(run: RunFiles) -> list[Field]:
    state, price = run.state, run.spec.price_per_hour if run.spec else None
    seconds = state.took_s if state is not None and state.ended_at is not None else None
    if seconds is None:
        return [Field(""), Field("")]
    money = price * seconds / 3600 if price else None
    cost = Field("") if money is None else Field(f"${money:.2f}", money)
    return [Field(duration(seconds), seconds), cost]


def _score(scores: Scores, name: str) -> Field:
    one = scores.get(name)
    if one is None or not math.isfinite(one.value):
        return Field("")
    cell = cell_of(one, math.nan)
    return Field(cell.text, one.value, cell.interval)
