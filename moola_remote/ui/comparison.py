"""A comparison as text: every column is shown, in as many tables as the width needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from moola_remote.config.typed import plain
from moola_remote.protocol.result import Score
from moola_remote.report.comparison import Comparison, Rival, Split
from moola_remote.report.score_names import SCORES, in_order
from moola_remote.report.score_tables import best_of
from moola_remote.text.format import loss
from moola_remote.text.sanitize import safe
from moola_remote.ui.sparkline import sparkline
from moola_remote.ui.tables import Columns, width_of

PIPE_WIDTH = 80
MAX_VALUE = 40
MAX_FLIPS = 10
CURVE = 24


@dataclass(frozen=True)
class ComparisonText:
    """What `moola_remote.ui.tables.show` takes."""

    compared: Comparison

    def plain(self) -> str:
        """For pipes and files."""
        return "\n".join(table.plain() for table in self.tables(PIPE_WIDTH))

    def __rich__(self) -> _Fitted:
        """For a terminal, whose width is only known when it is drawn."""
        return _Fitted(self)

    def tables(self, width: int) -> Iterator[Columns]:
        """Yield all tables, none wider than `width` where that can be."""
        compared = self.compared
        yield _legend(compared)
        yield from _differences(compared, width)
        for side, split in compared.splits.items():
            yield from _scores(compared, side, split, width)
            yield from _rules(side, split, width)
        yield from _curves(compared)
        for side, split in compared.splits.items():
            for rival in split.rivals:
                yield from _flips(compared.labels[0], rival, side)


@dataclass(frozen=True)
class _Fitted:
    text: ComparisonText

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for index, table in enumerate(self.text.tables(options.max_width)):
            yield from ([Text()] if index else [])
            yield table


def _legend(compared: Comparison) -> Columns:
    rows = []
    for label, run in zip(compared.labels, compared.runs, strict=True):
        event = run.view.run
        about = (
            [event.recipe, f"seed {event.seed}" if event.seed is not None else ""] if event else []
        )
        words = ", ".join(word for word in about if word)
        rows.append([Text(label, "bold"), Text(run.run_id), Text(words, "dim")])
    return Columns(["", "run", "recipe"], rows)


def _differences(compared: Comparison, width: int) -> Iterator[Columns]:
    if len(compared.runs) < 2:
        return
    same = f"; the same: {', '.join(compared.same)}" if compared.same else ""
    if not compared.differences:
        yield Columns([f"nothing differs{same}"], [])
        return
    names = [Text(one.name) for one in compared.differences]
    columns = [
        (label, [Text(safe(one.values[i], MAX_VALUE)) for one in compared.differences])
        for i, label in enumerate(compared.labels)
    ]
    yield from _fitting(f"what differs{same}", names, columns, width, is_right=False)


def _scores(compared: Comparison, side: str, split: Split, width: int) -> Iterator[Columns]:
    known = in_order(SCORES, split.scores)
    columns = []
    for label, scores in zip(compared.labels, split.scores, strict=True):
        cells = [
            _cell(scores.get(name), best_of(name, split.scores), is_signed=False) for name in known
        ]
        columns.append((label, cells))
    notes = []
    for rival in split.rivals if split.has_windows else ():
        if rival.lead is None:
            notes.append(f"{rival.label} shares no window with {compared.labels[0]}")
            continue
        head = f"{rival.label} - {compared.labels[0]}"
        leads = rival.lead.leads
        columns.append((head, [_cell(leads.get(name), math.nan, is_signed=True) for name in known]))
        notes.append(
            f"{head} paired on {rival.lead.num_windows} windows of {rival.lead.num_groups} spans"
        )
    title = "\n".join([f"{side}, 95% intervals", *notes])
    yield from _fitting(title, _named(known), columns, width)


def _named(names: Sequence[str]) -> list[Text]:
    return [Text(SCORES.get(name, safe(name, MAX_VALUE))) for name in names]


def _rules(side: str, split: Split, width: int) -> Iterator[Columns]:
    for labels, rules in split.rules.items():
        known = in_order(SCORES, rules.values())
        columns = [
            (rule.replace("_", " "), [Text(_value(scores.get(name))) for name in known])
            for rule, scores in rules.items()
        ]
        of = f", windows of {labels}" if len(split.rules) > 1 else ""
        title = f"rules on {side}{of}"
        yield from _fitting(title, _named(known), columns, width)


def _curves(compared: Comparison) -> Iterator[Columns]:
    """Of the runs that had windows to validate on."""
    totals = [
        [
            event.validation["total"]
            for event in run.view.epochs.values()
            if "total" in event.validation
        ]
        for run in compared.runs
    ]
    finite = [value for values in totals for value in values if math.isfinite(value)]
    if not finite:
        return
    rows = []
    for label, run, values in zip(compared.labels, compared.runs, totals, strict=True):
        if values:
            best = run.view.best_epoch
            lowest = min((value for value in values if math.isfinite(value)), default=math.nan)
            curve = sparkline(values, CURVE, min(finite), max(finite))
            cells = [curve, *map(loss, (values[0], lowest, values[-1]))]
            cells.append("" if best is None else str(best))
            rows.append([Text(label, "bold"), *map(Text, cells)])
    heads = ["", "by epoch", "first", "lowest", "last", "lowest at"]
    title = "loss on validation, one scale"
    yield Columns(heads, rows, title=title, right=frozenset({2, 3, 4, 5}))


def _flips(first: str, rival: Rival, side: str) -> Iterator[Columns]:
    flipped = rival.flipped
    if rival.lead is None:
        return
    lost = len(flipped) - rival.num_won
    title = (
        f"{side} windows that flipped at IoU 0.5: {rival.label} won {rival.num_won}, lost {lost}"
    )
    shown = flipped[:MAX_FLIPS]
    title += f"; the first {len(shown)}" if len(shown) < len(flipped) else ""
    rows = [
        [Text(one.window_id), Text(f"{one.iou:.2f}"), Text(f"{other.iou:.2f}")]
        for one, other in shown
    ]
    if rows:
        heads = ["window", f"IoU {first}", f"IoU {rival.label}"]
        yield Columns(heads, rows, title=title, right=frozenset({1, 2}))
    else:
        yield Columns([title], [])


def _fitting(
    title: str,
    names: Sequence[Text],
    columns: Sequence[tuple[str, Sequence[Text]]],
    width: int,
    *,
    is_right: bool = True,
) -> Iterator[Columns]:
    """One table, or several of the same rows, each as wide as fits and at least of one column."""
    margin = max((width_of(name.plain) for name in names), default=0)
    part: list[tuple[str, Sequence[Text]]] = []
    used = margin
    for head, cells in columns:
        size = 2 + max(width_of(text) for text in [head, *(cell.plain for cell in cells)])
        if part and used + size > width:
            yield _table(title, names, part, is_right=is_right)
            title, part, used = "", [], margin
        part.append((head, cells))
        used += size
    if part:
        yield _table(title, names, part, is_right=is_right)


def _table(
    title: str,
    names: Sequence[Text],
    columns: Sequence[tuple[str, Sequence[Text]]],
    *,
    is_right: bool,
) -> Columns:
    heads = ["", *(head for head, _ in columns)]
    rows = list(zip(names, *(cells for _, cells in columns), strict=True))
    right = frozenset(range(1, len(heads))) if is_right else frozenset()
    return Columns(heads, rows, title=title, right=right)


def _cell(score: Score | None, best: float, *, is_signed: bool) -> Text:
    """``0.603 [.42 .78]``; a lead whose interval leaves 0 out has a star."""
    if score is None or not math.isfinite(score.value):
        return Text("- " if is_signed else "-", "dim")
    cell = Text(f"{score.value:{'+' if is_signed else ''}.3f}")
    if score.value == best:
        cell.stylize("bold green")
    if math.isfinite(score.low) and math.isfinite(score.high):
        digits = 3 if is_signed else 2
        cell.append(f" [{_short(score.low, digits)} {_short(score.high, digits)}]", "dim")
    if is_signed:
        cell.append("*" if score.low > 0 or score.high < 0 else " ", "bold")
    return cell


def _value(score: Score | None) -> str:
    return "-" if score is None or not math.isfinite(score.value) else f"{score.value:.3f}"


def _short(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.0f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def as_json(compared: Comparison) -> Iterator[Mapping[str, object]]:
    """One object a run, then one of what is between them."""
    for run in compared.runs:
        scores = plain(run.result) if run.result else {}
        yield {"run_id": run.run_id, **scores}
    yield {
        "compared": [run.run_id for run in compared.runs],
        "differences": {one.name: one.values for one in compared.differences},
        "leads": {
            side: {rival.label: _lead(rival) for rival in split.rivals}
            for side, split in compared.splits.items()
        },
    }


def _lead(rival: Rival) -> dict[str, object] | None:
    if rival.lead is None:
        return None
    return {
        "windows": rival.lead.num_windows,
        "groups": rival.lead.num_groups,
        "scores": plain(rival.lead.leads),
        "flipped": [one.window_id for one, _ in rival.flipped],
        "won": rival.num_won,
    }
