"""Bars of transfers over one line of talk, drawn while something lasts."""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column


class Bars:
    """What a `Progression` draws on a terminal.

    Args:
        console: of stderr.
    """

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            *(_words("{task.description:>8}"), BarColumn(), DownloadColumn()),
            *(TransferSpeedColumn(), TimeRemainingColumn()),
            console=console,
        )
        self._talk = Progress(
            SpinnerColumn(), _words("{task.description}"), TimeElapsedColumn(), console=console
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: TaskID | None = None
        self._live = Live(Group(self._bars, self._talk), console=console, transient=True)

    def start(self) -> None:
        """Begin to draw."""
        self._live.start()

    def stop(self) -> None:
        """Take away what is drawn."""
        self._live.stop()

    def update(self, name: str, done: int, total: int) -> None:
        """See `Progression.update`."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name)
        self._bars.update(self._tasks[name], completed=done, total=total)

    def step(self, text: str) -> None:
        """See `Progression.step`."""
        if self._said is not None:
            self._talk.remove_task(self._said)
        self._said = self._talk.add_task(text, total=None)


def _words(form: str) -> TextColumn:
    # A pod's line is no markup, and must not wrap: the live view would jump.
    return TextColumn(form, markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
