"""Shows a run while it is followed: a screen on a terminal, plain lines in a pipe, or JSON lines.

Without a screen, stdout is the answer (log lines, or events), stderr the talk (link, state).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from moola_remote.follow.view import RunView
from moola_remote.protocol.events import Event
from moola_remote.protocol.state import RunState
from moola_remote.text.sanitize import safe
from moola_remote.ui import panels
from moola_remote.ui.outputs import JsonOutput, Output, PlainOutput

MIN_PAUSE_S = 0.1  # between redraws: 10 a second at most
DUTY = 30  # a redraw of 10 ms is followed by a pause of 300: about 3% of a core
TICK_S = 1.0  # clocks and the terminal's size are looked at, with no news


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
        """Take the run's state, as the pod reports it."""
        with self._lock:
            self.view.take_state(state, self._clock())
        self._output.state(state)

    def on_away(self, lines: list[str]) -> None:
        """Show what happened since this laptop last looked."""
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
