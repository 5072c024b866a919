"""The progress of a deploy or a fetch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from moola_remote.ui.terminal import may_be_terminal

if TYPE_CHECKING:
    from moola_remote.ui.bars import Bars


class Progression:
    """What is being done, on stderr: bars of transfers over one line of talk; a context manager.

    Without a terminal there are no bars, and only the pod's lines are printed.
    """

    def __init__(self) -> None:
        self._bars = _bars() if may_be_terminal(sys.stderr) else None

    def __enter__(self) -> Progression:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def update(self, name: str, done: int, total: int) -> None:
        """`done` of `total` bytes of the transfer `name` have gone."""
        if self._bars:
            self._bars.update(name, done, total)

    def step(self, text: str) -> None:
        """Show what is done now, and for how long, instead of the step before."""
        if self._bars:
            self._bars.step(text)

    def say(self, line: str) -> None:
        """Print a line of the pod's."""
        if self._bars:
            self.step(f"pod: {line}")
        else:
            click.echo(f"pod: {line}", err=True)


def _bars() -> Bars | None:
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    from moola_remote.ui.bars import Bars

    return Bars(console)
