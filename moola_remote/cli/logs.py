"""The log of a run as safe lines on stdout."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

import click

from moola_remote.session import Session

if TYPE_CHECKING:
    from moola_remote.runs import RunState


class _EnoughError(Exception):
    """What was asked for is printed."""


class Printer:
    """Prints a log from its beginning, or from `tail` lines before `size`, the size it has now.

    Args:
        size: bytes that are there already.
        tail: lines to print of them; None prints all.
        is_following: go on behind `size`; otherwise `_EnoughError` is raised there.
    """

    def __init__(self, size: int, *, tail: int | None, is_following: bool) -> None:
        from moola_remote.screen import Screen

        self._screen = Screen()
        self._to_come = size
        self._is_following = is_following
        self._held: deque[str] | None = None if tail is None else deque(maxlen=tail)

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        lines = self._screen.feed(data)
        self._to_come -= len(data)
        if self._held is not None:
            self._held.extend(lines)
        else:
            _print(lines)
        if self._to_come <= 0:
            self.release()
            if not self._is_following:
                raise _EnoughError

    def release(self) -> None:
        """Print what was held back."""
        held, self._held = self._held, None
        _print(held or ())

    def close(self) -> None:
        """Print the rest, a last line without an end too."""
        self.release()
        _print(self._screen.close())


def _print(lines: deque[str] | list[str] | tuple[str, ...]) -> None:
    if lines:
        click.echo("\n".join(lines))


def print_log(session: Session, run: RunState, *, tail: int | None, is_following: bool) -> None:
    """Print a run's log; what the journal has is not sent again.

    Raises:
        MoolaError: `is_following`, and the run did not succeed.
    """
    from moola_remote.cli.follow import conclude, leave
    from moola_remote.follow import Listener, follow

    printer = Printer(run.log_size, tail=tail, is_following=is_following)
    listener = Listener(
        on_log=printer.add, on_notice=lambda notice: click.echo(notice.text, err=True)
    )
    if not run.log_size and not is_following:
        click.echo(f"run {run.run_id} is {run.state}, its log is empty", err=True)
        return
    ended = None
    try:
        with session.journal(run.run_id) as journal, contextlib.suppress(_EnoughError):
            ended = follow(session.link(), run.run_id, journal, listener, replay=True)
    except KeyboardInterrupt:
        leave(session, run.run_id)
    printer.close()
    if ended is not None and is_following:
        conclude(session, ended, is_log_shown=True)
