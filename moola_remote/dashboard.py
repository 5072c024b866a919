"""Shows a run while it is followed: a screen on a terminal, plain lines in a pipe, or JSON lines.

Without a screen, stdout is the answer (log lines, or events), stderr the talk (link, state).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Protocol

from pydantic_core import to_json
from rich.console import Console
from rich.live import Live
from rich.text import Text

from moola_remote import panels
from moola_remote.events import Event, NoteEvent
from moola_remote.runs import RunState
from moola_remote.runview import RunView
from moola_remote.screen import safe, write

MIN_PAUSE_S = 0.1  # between redraws: 10 a second at most
DUTY = 30  # a redraw of 10 ms is followed by a pause of 300: about 3% of a core
TICK_S = 1.0  # clocks and the terminal's size are looked at, with no news


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
        """Show what happened while nobody looked."""

    def close(self) -> None:
        """Nothing more will come."""


class Dashboard:
    """Shows one run; a context manager. It may be fed from any one thread.

    Args:
        view: what is known of the run so far; it is kept up to date here.
        console: where to; the default is stdout. No terminal gives plain lines.
        as_json: events and states as JSON lines instead.
        clock: the laptop's Unix time.
    """

    def __init__(
        self,
        view: RunView,
        *,
        console: Console | None = None,
        as_json: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.view = view
        self._clock = clock
        self._lock = threading.Lock()
        console = console or Console()
        self._output: Output
        if as_json:
            self._output = JsonOutput(console.file, clock)
        elif console.is_terminal and not console.is_dumb_terminal:
            self._output = ScreenOutput(view, console, clock, self._lock)
        else:
            self._output = PlainOutput(view, console.file, sys.stderr)

    def __enter__(self) -> Dashboard:
        if isinstance(self._output, ScreenOutput):
            self._output.open()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            lines = self.view.log.close()
            self.view.lines.extend(lines)
        self._output.log(lines)
        self._output.close()

    def on_log(self, data: bytes) -> None:
        """Bytes of the log, as they came."""
        with self._lock:
            lines = self.view.take_log(data)
        self._output.log(lines)

    def on_event(self, event: Event) -> None:
        """One event of ``events.jsonl``."""
        with self._lock:
            self.view.take_event(event)
        self._output.event(event)

    def on_state(self, state: RunState) -> None:
        """How the run stands, as the pod tells it."""
        with self._lock:
            self.view.take_state(state, self._clock())
        self._output.state(state)

    def on_away(self, lines: list[str]) -> None:
        """What happened while nobody looked."""
        with self._lock:
            self.view.away = [safe(line, 300) for line in lines]
        self._output.away(self.view.away)

    def on_link(self, text: str) -> None:
        """How the connection stands: ``connected``, or what is being tried."""
        with self._lock:
            self.view.link = safe(text, 200)
        self._output.link(self.view.link)


class ScreenOutput:
    """A full screen, redrawn by its own thread when there is news; a summary stays at the end."""

    def __init__(
        self, view: RunView, console: Console, clock: Callable[[], float], lock: threading.Lock
    ) -> None:
        self._view, self._console, self._clock, self._lock = view, console, clock, lock
        self._news, self._is_closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._redraw, name="dashboard", daemon=True)
        self._live = Live(
            get_renderable=self._draw,
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def open(self) -> None:
        """Take the terminal."""
        self._live.start()
        self._thread.start()

    def log(self, lines: list[str]) -> None:
        """Show the log's end at the next redraw."""
        del lines
        self._news.set()

    def event(self, event: Event) -> None:
        """Show it at the next redraw."""
        del event
        self._news.set()

    def state(self, state: RunState) -> None:
        """Show it at the next redraw."""
        del state
        self._news.set()

    def link(self, text: str) -> None:
        """Show it at the next redraw."""
        del text
        self._news.set()

    def away(self, lines: list[str]) -> None:
        """Show it at the next redraw."""
        del lines
        self._news.set()

    def close(self) -> None:
        """Give the terminal back, with the whole table of epochs on it."""
        self._is_closing.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()
        self._console.clear()  # tmux leaves rows of a screen that grew in the meantime
        self._live.stop()
        text = panels.final(self._view, width=self._console.width, now=self._clock())
        self._console.print(text, no_wrap=True, overflow="crop", highlight=False)

    def _draw(self) -> Text:
        with self._lock:
            width, height = self._console.size
            return panels.draw(self._view, width=width, height=height, now=self._clock())

    def _redraw(self) -> None:
        while not self._is_closing.is_set():
            self._news.wait(TICK_S)
            self._news.clear()
            begun = time.thread_time()
            self._live.refresh()
            cost = time.thread_time() - begun
            self._is_closing.wait(max(MIN_PAUSE_S, DUTY * cost))


class PlainOutput:
    """Log lines as they come, the talk on stderr; a job tells its epochs in its log."""

    def __init__(self, view: RunView, out: IO[str], talk: IO[str]) -> None:
        self._view, self._out, self._talk = view, out, talk
        self._state = ""

    def log(self, lines: list[str]) -> None:
        """Write the lines."""
        if lines:
            write(self._out, "\n".join(lines) + "\n")

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
        """The log is no part of the events."""

    def event(self, event: Event) -> None:
        """Write it."""
        write(self._out, event.to_json_line().decode() + "\n")

    def state(self, state: RunState) -> None:
        """Write it."""
        line = {"schema": 1, "kind": "state", "t": self._clock(), "state": state.model_dump()}
        write(self._out, to_json(line, inf_nan_mode="null").decode() + "\n")

    def link(self, text: str) -> None:
        """The link is no event of the run."""

    def away(self, lines: list[str]) -> None:
        """The events are told as they are."""

    def close(self) -> None:
        """Nothing is left to write."""
