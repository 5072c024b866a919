"""The tables of deploy and runs: drawn on a terminal, one plain line a row in a pipe.

Each function gives something that `show` prints. Names and details may come from a pod: they are
made safe here and go to rich as `Text`, never as markup. rich is imported where something is drawn:
it is an eighth of a command that asks the pod.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Literal, Protocol, TypeAlias

from moola_remote.protocol.state import RunState
from moola_remote.text.format import duration
from moola_remote.text.sanitize import safe, write
from moola_remote.ui.styles import STATE_STYLES
from moola_remote.ui.terminal import may_be_terminal

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text
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


@dataclass(frozen=True)
class Row:
    """One component of a pod: how it is, what it is, what there is to say.

    `mark` is ``ok`` (there, or sent now), ``same`` (was there), ``warn``, ``bad`` or ``none``.
    """

    mark: Mark
    name: str
    details: str


@dataclass(frozen=True)
class Cell:
    """A text of a table, and its style on a terminal."""

    plain: str
    style: str = ""

    def __rich__(self) -> Text:
        """Return it for a terminal."""
        from rich.text import Text

        return Text(self.plain, self.style)


@dataclass(frozen=True)
class Columns:
    """A table: `console.print` draws it for a terminal, `plain` is for pipes and files.

    Args:
        heads: one a column.
        rows: cells, as many as heads.
        title: what stands above, or empty.
        right: the columns of numbers.
        flexible: the column that gives way on a narrow terminal.
        is_folding: whether that one continues in the next line; otherwise it is cut.
        is_boxed: whether a box is drawn around it.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell | Text]]
    title: str = ""
    right: frozenset[int] = frozenset()
    flexible: int = -1
    is_folding: bool = False
    is_boxed: bool = False

    def __rich__(self) -> Table:
        """Return the table for a terminal."""
        from rich.box import ROUNDED, SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=ROUNDED if self.is_boxed else SIMPLE_HEAD,
            title=self.title or None,
            title_justify="left",
            show_edge=self.is_boxed,
            pad_edge=self.is_boxed,
            padding=(0, 1) if self.is_boxed else (0, 1, 0, 0),
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

    def _cell(self, index: int, cell: Cell | Text) -> Text:
        text = cell.__rich__() if isinstance(cell, Cell) else cell
        if index == self.flexible and not self.is_folding:
            text = text.copy()
            text.no_wrap, text.overflow = True, "ellipsis"
        return text

    def _widths(self) -> list[int]:
        columns = zip(self.heads, *([cell.plain for cell in row] for row in self.rows), strict=True)
        return [max(map(width_of, column)) for column in columns]

    def plain(self) -> str:
        """One line a row, columns aligned, nothing cut."""
        widths = self._widths()
        lines = [self.title] if self.title else []
        for row in [list(self.heads), *([cell.plain for cell in row] for row in self.rows)]:
            cells = [
                " " * (width - _line_width(cell)) + cell
                if index in self.right
                else cell + " " * (width - _line_width(cell))
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines) + "\n"


def width_of(text: str) -> int:
    """Terminal cells of the widest line."""
    return max(map(_line_width, text.split("\n")))


def _line_width(text: str) -> int:
    if text.isascii() and text.isprintable():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


class Printable(Protocol):
    """What `show` takes."""

    def plain(self) -> str:
        """For pipes and files."""

    def __rich__(self) -> RenderableType:
        """For terminals."""


def show(table: Printable, file: IO[str] | None = None) -> None:
    """Print `table` to `file` (stdout), drawn on a terminal and plain elsewhere."""
    file = file or sys.stdout
    if may_be_terminal(file):
        from rich.console import Console

        console = Console(file=file, highlight=False)
        if console.is_terminal:
            console.print(table)
            return
    write(file, table.plain())


def component_table(rows: Sequence[Row]) -> Columns:
    """Return what is on a pod, after a deploy."""
    cells = [[Cell(*MARKS[row.mark]), _cell(row.name, "bold"), _cell(row.details)] for row in rows]
    return Columns(["", "component", "details"], cells, flexible=2, is_folding=True, is_boxed=True)


def runs_table(
    states: Sequence[RunState],
    more: Mapping[str, Sequence[str]] = MappingProxyType({}),
    *,
    now: float | None = None,
) -> Columns:
    """Return a pod's runs, in the order given, with `more` columns of texts.

    `now` stands in for the pod's clock where it isn't known.
    """
    now = time.time() if now is None else now
    rows = [_run_row(state, now if state.now is None else state.now) for state in states]
    heads = ["run", "state", "age", "took", "gpu", "idle", "what"]
    if not any(state.idle for state in states):
        heads.remove("idle")
        rows = [[*row[:5], row[6]] for row in rows]
    heads[2:2] = more
    rows = [
        [*row[:2], *(_cell(values[i], "bold") for values in more.values()), *row[2:]]
        for i, row in enumerate(rows)
    ]
    last = len(heads) - 1
    return Columns(heads, rows, right=frozenset(range(2, last)), flexible=last)


def _run_row(state: RunState, now: float) -> list[Cell]:
    position = f" {state.queue_position}" if state.queue_position is not None else ""
    took = _between(state.started_at, now if state.ended_at is None else state.ended_at)
    what = state.reason or (state.last_lines[-1] if state.last_lines else state.command or "")
    if state.on_finish:
        what = f"{what}; on_finish: exit code {state.on_finish}".removeprefix("; ")
    return [
        _cell(state.run_id, "bold"),
        Cell(f"{state.state}{position}", STATE_STYLES.get(state.state, "bold red")),
        Cell(_between(state.queued_at, now)),
        Cell(took),
        Cell("" if state.gpu is None else str(state.gpu)),
        Cell(state.idle),
        _cell(what, "" if state.reason else "dim"),
    ]


def _between(start: float | None, end: float) -> str:
    if start is None or not math.isfinite(end - start):
        return ""
    return duration(max(end - start, 0.0))


def _cell(text: str, style: str = "") -> Cell:
    return Cell(safe(text, MAX_TEXT), style)
