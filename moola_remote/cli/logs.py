"""The log of a run as safe lines on stdout."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App

if TYPE_CHECKING:
    from moola_remote.agent_client.verbs import Place
    from moola_remote.follow.journal import Journal
    from moola_remote.protocol.state import RunState


@dataclass(frozen=True)
class Part:
    """What is asked of a log: the last `tail` lines, from `since` on (this clock), what comes."""

    tail: int | None
    since: float | None
    is_following: bool


class _EnoughError(Exception):
    """What was asked for is printed."""


class Printer:
    """Prints `size` bytes of a log and, where `is_following`, what comes after them.

    Otherwise it raises `_EnoughError` once that is done.
    """

    def __init__(self, size: int, *, is_following: bool) -> None:
        from moola_remote.text.sanitize import Screen
        from moola_remote.text.terminal import writer

        self._screen = Screen()
        # click would look for escape sequences once more; there is no stdout where it was closed.
        self._print = (lambda _: None) if sys.stdout is None else writer(sys.stdout)
        self._to_come = size
        self._is_following = is_following
        self._is_current = False

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        if not self._is_following:
            data = data[: max(self._to_come, 0)]
        self._print(self._screen.text(data))
        self._to_come -= len(data)
        self._end_if_enough()

    def look(self, _: RunState) -> None:
        """Take a state: the first one comes after the events that were there."""
        self._is_current = True
        self._end_if_enough()

    def _end_if_enough(self) -> None:
        if self._is_current and self._to_come <= 0 and not self._is_following:
            raise _EnoughError

    def close(self) -> None:
        """Print the rest, a last line without an end too."""
        self._print("".join(f"{line}\n" for line in self._screen.close()))


def print_log(app: App, run: RunState, part: Part) -> None:
    """Print a part of a run's log; what the journal has is not sent again.

    Raises:
        MoolaError: the log is followed, and the run did not succeed.
    """
    from moola_remote.cli.watch_run import conclude, leave
    from moola_remote.follow.catch_up import CatchUp
    from moola_remote.follow.follower import Listener, follow
    from moola_remote.follow.reconnect import Link
    from moola_remote.runs.local_state import notes_of

    place = _place(app, run, part)
    if place.offset == place.size and not part.is_following:
        said = "its log is empty" if not place.size else "nothing was written since then"
        click.echo(f"run {run.run_id} is {run.state}, {said}", err=True)
        return
    printer = Printer(place.size - place.offset, is_following=part.is_following)
    listener = Listener(
        on_log=printer.add,
        on_state=printer.look,
        on_notice=lambda notice: click.echo(notice.text, err=True),
    )
    away = CatchUp(
        notes_of(app.pod, run.run_id), lambda lines: click.echo("\n".join(lines), err=True)
    )
    ended = None
    try:
        with _journal(app, run, place) as journal, contextlib.suppress(_EnoughError):
            ended = follow(
                Link(app.pod.agent, app.pod.reconnect),
                run.run_id,
                journal,
                away.beside(listener),
                replay=True,
                log_from=place.offset,
            )
    except KeyboardInterrupt:
        leave(app, run.run_id)
    printer.close()
    if ended is not None and part.is_following:
        conclude(app, ended, is_log_shown=True)


def _place(app: App, run: RunState, part: Part) -> Place:
    from moola_remote.agent_client.verbs import Place, locate

    if part.tail is None and part.since is None:
        return Place(0, run.log_size)
    pods_clock_s = 0.0 if run.now is None else run.now - time.time()
    since = None if part.since is None else part.since + pods_clock_s
    return locate(app.pod.agent, run.run_id, tail=part.tail, since=since)


def _journal(app: App, run: RunState, place: Place) -> Journal:
    """Return the run's journal, or one that begins at a place which it has not reached."""
    from moola_remote.follow.journal import LogEnd

    journal = app.journal(run.run_id)
    if journal.size("log") >= place.offset:
        return journal
    journal.close()
    return LogEnd(journal.folder, place.offset)
