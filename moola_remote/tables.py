"""The tables of deploy, runs and compare: drawn on a terminal, one plain line a row in a pipe.

Each function gives something that `show` prints. Names and details may come from a pod: they are
made safe here and go to rich as `Text`, never as markup.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Literal, Protocol, TypeAlias

from rich.box import ROUNDED, SIMPLE_HEAD, Box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from moola_remote.events import Result, Score
from moola_remote.panels import STATE_STYLES, duration
from moola_remote.runs import RunState
from moola_remote.screen import safe, write

Mark: TypeAlias = Literal["ok", "same", "warn", "bad", "none"]

MARKS: dict[Mark, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "same": ("=", "green"),
    "warn": ("!", "yellow"),
    "bad": ("✗", "bold red"),
    "none": ("-", "dim"),
}
MAX_TEXT = 2000
MAX_FIXED = 34  # cells of a column that doesn't give way; a run's id may be longer, and is folded

# The most telling first: what doesn't fit is left out from the end.
SCORES = {
    "f1": "F1",
    "iou": "IoU",
    "hit3": "Hit±3",
    "average_precision": "AP",
    "in_span": "in",
    "out_span": "out",
    "precision": "prec",
    "recall": "recall",
    "iou50": "IoU≥.5",
    "type_f1": "type F1",
    "center_mae": "centre",
    "length_mae": "length",
    "ece": "ECE",
    "gap": "gap",
}
LOW_IS_GOOD = frozenset({"center_mae", "length_mae", "ece", "out_span"})


@dataclass(frozen=True)
class Row:
    """One component of a pod: how it is, what it is, what there is to say.

    `mark` is ``ok`` (there, or sent now), ``same`` (was there), ``warn``, ``bad`` or ``none``.
    """

    mark: Mark
    name: str
    details: str


@dataclass(frozen=True)
class Columns:
    """A table: `console.print` draws it for a terminal, `plain` is for pipes and files.

    Args:
        heads: one a column.
        rows: cells, as many as heads.
        title: one line above, or empty.
        right: the columns of numbers.
        flexible: the column that gives way on a narrow terminal.
        is_folding: whether that one goes on in the next line; otherwise it is cut.
        box: what is drawn around it.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[Text]]
    title: str = ""
    right: frozenset[int] = frozenset()
    flexible: int = -1
    is_folding: bool = False
    box: Box = SIMPLE_HEAD

    def __rich__(self) -> Table:
        """The table for a terminal."""
        is_boxed = self.box is ROUNDED
        table = Table(
            box=self.box,
            title=self.title or None,
            title_justify="left",
            show_edge=is_boxed,
            pad_edge=is_boxed,
            padding=(0, 1) if is_boxed else (0, 1, 0, 0),
        )
        for index, (head, width) in enumerate(zip(self.heads, self._widths(), strict=True)):
            table.add_column(
                Text(head),
                justify="right" if index in self.right else "left",
                width=None if index == self.flexible else min(width, MAX_FIXED),
                overflow="fold",
            )
        for row in self.rows:
            table.add_row(*(self._cell(index, cell) for index, cell in enumerate(row)))
        return table

    def _cell(self, index: int, cell: Text) -> Text:
        if index == self.flexible and not self.is_folding:
            cell = cell.copy()
            cell.no_wrap, cell.overflow = True, "ellipsis"
        return cell

    def _widths(self) -> list[int]:
        columns = zip(self.heads, *([cell.plain for cell in row] for row in self.rows), strict=True)
        return [max(map(width_of, column)) for column in columns]

    def plain(self) -> str:
        """One line a row, columns aligned, nothing cut."""
        widths = self._widths()
        lines = [self.title] if self.title else []
        for row in [list(self.heads), *([cell.plain for cell in row] for row in self.rows)]:
            cells = [
                " " * (width - cell_len(cell)) + cell
                if index in self.right
                else cell + " " * (width - cell_len(cell))
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines) + "\n"


def width_of(text: str) -> int:
    """Terminal cells of the widest line."""
    return max(map(cell_len, text.split("\n")))


class Printable(Protocol):
    """What `show` takes."""

    def plain(self) -> str:
        """For pipes and files."""

    def __rich__(self) -> RenderableType:
        """For terminals."""


def show(table: Printable, file: IO[str] | None = None) -> None:
    """Print `table` to `file` (stdout), drawn on a terminal and plain elsewhere."""
    file = file or sys.stdout
    console = Console(file=file, highlight=False)
    if console.is_terminal:
        console.print(table)
    else:
        write(file, table.plain())


def component_table(rows: Sequence[Row]) -> Columns:
    """What is on a pod, after a deploy."""
    cells = [[Text(*MARKS[row.mark]), _text(row.name, "bold"), _text(row.details)] for row in rows]
    return Columns(["", "component", "details"], cells, flexible=2, is_folding=True, box=ROUNDED)


def runs_table(states: Sequence[RunState], *, now: float | None = None) -> Columns:
    """A pod's runs, in the order given; `now` stands in for the pod's clock where it isn't told."""
    now = time.time() if now is None else now
    rows = [_run_row(state, now if state.now is None else state.now) for state in states]
    heads = ["run", "state", "age", "took", "gpu", "what"]
    return Columns(heads, rows, right=frozenset({2, 3, 4}), flexible=5)


def _run_row(state: RunState, now: float) -> list[Text]:
    position = f" {state.queue_position}" if state.queue_position is not None else ""
    took = _between(state.started_at, now if state.ended_at is None else state.ended_at)
    what = state.reason or (state.last_lines[-1] if state.last_lines else "")
    return [
        _text(state.run_id, "bold"),
        Text(f"{state.state}{position}", STATE_STYLES.get(state.state, "bold red")),
        Text(_between(state.queued_at, now)),
        Text(took),
        Text("" if state.gpu is None else str(state.gpu)),
        _text(what, "" if state.reason else "dim"),
    ]


def _between(start: float | None, end: float) -> str:
    if start is None or not math.isfinite(end - start):
        return ""
    return duration(max(end - start, 0.0))


Entry: TypeAlias = "tuple[str, str, Mapping[str, Score]]"  # name, style, scores


@dataclass(frozen=True)
class Scoreboard:
    """Runs and baselines, one table a split; a terminal shows as many scores as it has room for."""

    splits: Mapping[str, Sequence[Entry]]

    def __rich__(self) -> RenderableType:
        """For a terminal, whose width is only known when it is drawn."""
        return _FittedScoreboard(self)

    def tables(self, width: int | None = None) -> list[Columns]:
        """One table a split; None for all scores and intervals on one line."""
        return [
            _score_table(f"{split} (95% interval)", entries, width)
            for split, entries in self.splits.items()
        ]

    def plain(self) -> str:
        """All scores, one run a line."""
        return "\n".join(table.plain() for table in self.tables())


@dataclass(frozen=True)
class _FittedScoreboard:
    board: Scoreboard

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for index, table in enumerate(self.board.tables(options.max_width)):
            yield from ([Text()] if index else [])
            yield table


def scoreboard(results: Mapping[str, Result]) -> Scoreboard:
    """Compare runs: validation and test scores with their intervals, the baselines beside them.

    Args:
        results: by run id, in the order to show.
    """
    splits: dict[str, Sequence[Entry]] = {}
    for split in ("validation", "test"):
        entries: list[Entry] = []
        for run_id, result in results.items():
            scores = result.scores.validation if split == "validation" else result.scores.test
            if scores:
                entries.append((run_id, "bold", scores))
        entries += _baselines(results, split)
        if entries:
            splits[split] = entries
    return Scoreboard(splits)


def _baselines(results: Mapping[str, Result], split: str) -> list[Entry]:
    """Each once; where runs were judged on other windows, once for each of them.

    The job judges them on the test windows where there are some, else on validation.
    """
    seen: dict[tuple[str, str], Entry] = {}
    for run_id, result in results.items():
        if ("test" if result.scores.test else "validation") != split:
            continue
        for name, scores in result.baselines.items():
            key = (name, str({score: repr(one) for score, one in scores.items()}))
            is_other = any(known == name for known, _ in seen) and key not in seen
            seen.setdefault(key, (f"{name} ({run_id})" if is_other else name, "dim", scores))
    return list(seen.values())


def _score_table(title: str, entries: Sequence[Entry], width: int | None) -> Columns:
    heads, columns = [""], [[_text(label, style) for label, style, _ in entries]]
    used = min(max(width_of(label.plain) for label in columns[0]), MAX_FIXED)
    for name, head in SCORES.items():
        if not any(name in scores for _, _, scores in entries):
            continue
        best = _best(name, entries)
        is_narrow = width is not None
        column = [_score_cell(scores.get(name), best, is_narrow) for _, _, scores in entries]
        used += 2 + max(width_of(text) for text in [head, *(cell.plain for cell in column)])
        if width is not None and used > width:
            break
        heads.append(head)
        columns.append(column)
    rows = list(zip(*columns, strict=True))
    return Columns(heads, rows, title=title, right=frozenset(range(1, len(heads))))


def _best(name: str, entries: Sequence[Entry]) -> float:
    values = [scores[name].value for _, _, scores in entries if name in scores]
    finite = [value for value in values if math.isfinite(value)]
    pick = min if name in LOW_IS_GOOD else max
    return pick(finite) if finite else math.nan


def _score_cell(score: Score | None, best: float, is_narrow: bool) -> Text:
    if score is None or math.isnan(score.value):
        return Text("-", "dim")
    cell = Text(f"{score.value:.3f}", "bold green" if score.value == best else "")
    if not (math.isfinite(score.low) and math.isfinite(score.high)):
        return cell
    if not is_narrow:
        return cell.append(f" [{score.low:.3f}, {score.high:.3f}]")
    return cell.append("\n" + _short(score.low) + "-" + _short(score.high), "dim")


def _short(value: float) -> str:
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _text(text: str, style: str = "") -> Text:
    return Text(safe(text, MAX_TEXT), style)
