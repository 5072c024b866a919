"""The table of epochs: the columns that fit, the best epoch marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.text import Text

from moola_remote.follow.view import RunView
from moola_remote.protocol.events import EpochEvent
from moola_remote.text.format import loss, percent, score
from moola_remote.ui.styles import (
    BAD,
    GOOD,
    MAX_TASKS,
    NAME_WIDTH,
    NO_NUMBERS,
    QUIET,
    TRAIN,
    VALIDATION,
    fit,
    rule,
)

SHORT = {"f1": "f1", "iou": "iou", "in_span": "in", "out_span": "out"}  # scores in the epoch table
EPOCH_WIDTH = 6


@dataclass(frozen=True)
class Group:
    """Columns of the epoch table that come or go together."""

    title: str
    keys: Sequence[str]
    get: Callable[[EpochEvent], Mapping[str, float]]
    form: Callable[[float], str]
    style: str = ""

    @cached_property
    def heads(self) -> list[str]:
        """The columns' heads, each as wide as its column."""
        names = [fit(SHORT.get(key, key), NAME_WIDTH) for key in self.keys]
        return [f" {name:>{5 if self.form is score else 7}}" for name in names]

    @property
    def width(self) -> int:
        """Of all columns."""
        return sum(map(len, self.heads))

    def cells(self, event: EpochEvent) -> list[str]:
        """Return the columns' values, each as wide as its column."""
        values = self.get(event)
        return [
            f"{self.form(values[key]) if key in values else '-':>{len(head)}}"
            for key, head in zip(self.keys, self.heads, strict=True)
        ]


def groups(view: RunView, width: int) -> list[Group]:
    """Return the epoch table's columns: those reported that fit in `width`, by importance."""
    last = view.last_epoch
    assert last is not None
    tasks = view.tasks[:MAX_TASKS]
    total = Group("total", list(_totals(last)), _totals, loss)
    train = Group("train loss", tasks, lambda event: event.train, loss, TRAIN)
    validation = Group("validation loss", tasks, lambda event: event.validation, loss, VALIDATION)
    sigma = Group("sigma", tasks, lambda event: event.sigma, score)
    share = Group("share", tasks, lambda event: event.share, percent)
    scores = Group("scores", list(SHORT), lambda event: event.scores, score, GOOD)
    pace = Group("pace", ["s"], lambda event: {"s": event.seconds}, lambda value: f"{value:.1f}")
    chosen: list[Group] = []
    for group in (total, scores, validation, sigma, share, pace, train):
        used = EPOCH_WIDTH + sum(one.width for one in [*chosen, group])
        if used <= width and any(key in group.get(last) for key in group.keys):
            chosen.append(group)
    return [one for one in (total, train, validation, sigma, share, scores, pace) if one in chosen]


def _totals(event: EpochEvent) -> dict[str, float]:
    sides = {"train": event.train, "valid": event.validation}
    return {name: table["total"] for name, table in sides.items() if "total" in table}


def epochs_panel(view: RunView, *, width: int, num_rows: int) -> list[Text]:
    """Return the last `num_rows` epochs; the best one is marked and stays in view, first."""
    columns = groups(view, width)
    titles, at = {}, EPOCH_WIDTH
    for group in columns:
        titles[at + 1] = group.title[: group.width - 2]
        at += group.width
    best = view.best_epoch
    shown = list(view.epochs.values())[-num_rows:]
    if best is not None and best < shown[0].epoch and num_rows > 1:
        shown = [view.epochs[best], *shown[1:]]
    heads = Text("epoch " + "".join(head for group in columns for head in group.heads), QUIET)
    rows = [_epoch_row(event, columns, is_best=event.epoch == best) for event in shown]
    return [rule(width, titles), heads, *rows]


def _epoch_row(event: EpochEvent, columns: Sequence[Group], *, is_best: bool) -> Text:
    line = Text(
        f"{event.epoch:>{EPOCH_WIDTH - 1}}{'*' if is_best else ' '}", GOOD if is_best else ""
    )
    for group in columns:
        for cell in group.cells(event):
            line.append(cell, BAD if cell.strip() in NO_NUMBERS else group.style)
    return line
