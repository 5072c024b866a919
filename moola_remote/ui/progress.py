"""The progress line of a deploy."""

from __future__ import annotations

import click
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


class Progression:
    """What is being done, on stderr: bars of transfers over one line of talk; a context manager.

    Without a terminal there are no bars, and only the pod's lines are printed.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._is_live = console.is_terminal
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

    def __enter__(self) -> Progression:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_live:
            self._live.stop()

    def update(self, name: str, done: int, total: int) -> None:
        """`done` of `total` bytes of the transfer `name` have gone."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name)
        self._bars.update(self._tasks[name], completed=done, total=total)

    def step(self, text: str) -> None:
        """Show what is done now, and for how long, instead of the step before."""
        if self._said is not None:
            self._talk.remove_task(self._said)
        self._said = self._talk.add_task(text, total=None)

    def say(self, line: str) -> None:
        """Print a line of the pod's."""
        if self._is_live:
            self.step(f"pod: {line}")
        else:
            click.echo(f"pod: {line}", err=True)


def _words(form: str) -> TextColumn:
    # A pod's line is no markup, and must not wrap: the live view would jump.
    return TextColumn(form, markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
