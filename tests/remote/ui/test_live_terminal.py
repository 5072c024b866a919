"""The live view while it draws: how often, what it costs, in a real terminal."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from moola_remote.ui.dashboard import Dashboard
from tests.support.golden_run import golden_view
from tests.support.lanes import HANGS_S
from tests.support.terminal import Terminal, on_terminal

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "dashboard.py"


@pytest.mark.slow
def test_a_flood_of_news_is_drawn_ten_times_a_second_at_most() -> None:
    class Frames(io.StringIO):
        num_frames = 0

        def write(self, text: str) -> int:
            self.num_frames += text.count("RUNNING")
            return len(text)

    frames = Frames()
    console = Console(file=frames, force_terminal=True, width=80, height=24)
    begun = time.monotonic()
    with Dashboard(golden_view(), console=console) as dashboard:
        while time.monotonic() - begun < 0.5:
            dashboard.on_log(b"one more line\n" * 100)
            time.sleep(0.001)
    seconds = time.monotonic() - begun
    assert 2 <= frames.num_frames <= 10 * seconds + 3  # and the first, the last and the summary


@pytest.mark.slow
def test_drawing_takes_a_twentieth_of_a_core_however_dear_a_redraw_is() -> None:
    cost_s = 0.01

    class Slow(io.StringIO):
        num_frames = 0

        def write(self, text: str) -> int:
            if "RUNNING" in text:
                self.num_frames += 1
                begun = time.thread_time()
                while time.thread_time() - begun < cost_s:
                    pass
            return len(text)

    slow = Slow()
    console = Console(file=slow, force_terminal=True, width=80, height=24)
    begun = time.monotonic()
    with Dashboard(golden_view(), console=console) as dashboard:
        while time.monotonic() - begun < 0.75:
            dashboard.on_log(b"one more line\n")
            time.sleep(0.01)
    seconds = time.monotonic() - begun
    assert 2 <= slow.num_frames <= 0.05 * seconds / cost_s + 2  # the first, and the summary


@pytest.mark.process
def test_a_real_terminal_is_given_back_with_the_table_on_it() -> None:
    with replayed(seconds=1) as terminal:
        pass
    screen, _, after = bytes(terminal.written).partition(b"\x1b[?1049l")
    assert screen.count(b"\x1b[?1049h") == 1
    assert b"SUCCEEDED" in after
    assert b"countdown" in after
    assert b"of a core" in after
    for forbidden in (b"owned", b"\x1b]", "\u202e".encode(), b"not markup\x1b"):
        assert forbidden not in terminal.written


@pytest.mark.process
def test_a_terminal_that_is_resized_is_filled_again() -> None:
    with replayed(seconds=4) as terminal:
        for width, height in ((160, 50), (100, 20)):
            drawn = len(terminal.written)
            terminal.resize(width, height)
            rule = "─ log ".ljust(width, "─").encode()
            terminal.wait_for(rule + b"\x1b", rule + b"\r", since=drawn)


@contextmanager
def replayed(seconds: float) -> Iterator[Terminal]:
    """A run that is shown on a terminal of 80 by 24, to its end."""
    command = [sys.executable, str(BENCHMARK), "--seconds", str(seconds), "--lines", "5"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES"):
        environment.pop(name, None)
    with on_terminal(command, environment) as terminal:
        yield terminal
        assert terminal.program.wait(timeout=HANGS_S) == 0
