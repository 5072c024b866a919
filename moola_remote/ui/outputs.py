"""Where the log of a run is shown: plain text or JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Protocol

from moola_remote.config.typed import json_of
from moola_remote.follow.view import RunView
from moola_remote.protocol.events import Event, NoteEvent
from moola_remote.protocol.state import RunState
from moola_remote.text.sanitize import write
from moola_remote.text.terminal import writer


class Output(Protocol):
    """Where a run is shown."""

    def log(self, lines: list[str]) -> None:
        """Show complete, safe lines of the log."""

    def event(self, event: Event) -> None:
        """Show one event."""

    def state(self, state: RunState) -> None:
        """Show how the run stands."""

    def link(self, text: str) -> None:
        """Show how the connection stands."""

    def away(self, lines: list[str]) -> None:
        """Show what happened since this laptop last looked."""

    def close(self) -> None:
        """Nothing more will come."""


class PlainOutput:
    """Log lines as they come, messages on stderr; a job reports its epochs in its log."""

    def __init__(self, view: RunView, out: IO[str], talk: IO[str]) -> None:
        self._view, self._write_log, self._talk = view, writer(out), talk
        self._state = ""

    def log(self, lines: list[str]) -> None:
        """Write the lines."""
        if lines:
            self._write_log("\n".join(lines) + "\n")

    def event(self, event: Event) -> None:
        """Say a note."""
        if isinstance(event, NoteEvent):
            write(self._talk, f"note: {event.text}" + "\n")

    def state(self, state: RunState) -> None:
        """Say it when it has changed."""
        reason = f": {state.reason}" if state.reason else ""
        text = f"{self._view.run_id}: {state.state}{reason}"
        if text != self._state:
            self._state = text
            write(self._talk, text + "\n")

    def link(self, text: str) -> None:
        """Say it."""
        write(self._talk, text + "\n")

    def away(self, lines: list[str]) -> None:
        """Say it."""
        write(self._talk, "".join(f"{line}\n" for line in lines))

    def close(self) -> None:
        """Nothing is left to write."""


class JsonOutput:
    """Each event, and each state as an event of the kind ``state``, as one line of strict JSON."""

    def __init__(self, out: IO[str], clock: Callable[[], float]) -> None:
        self._out, self._clock = out, clock

    def log(self, lines: list[str]) -> None:
        """Do nothing: the log is not part of the events."""

    def event(self, event: Event) -> None:
        """Write it."""
        write(self._out, event.to_json_line().decode() + "\n")

    def state(self, state: RunState) -> None:
        """Write it."""
        line = {"schema": 1, "kind": "state", "t": self._clock(), "state": state}
        write(self._out, json_of(line).decode() + "\n")

    def link(self, text: str) -> None:
        """Do nothing: the link is not an event of the run."""

    def away(self, lines: list[str]) -> None:
        """Do nothing: the events are printed as they are."""

    def close(self) -> None:
        """Nothing is left to write."""
