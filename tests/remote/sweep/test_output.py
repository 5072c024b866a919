"""What is shown of a sweep while it lasts."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from moola_remote.sweep.trial import Attempt, Score, Trial
from moola_remote.ui.sweep_output import SweepOutput, SweepScreen
from tests.remote.sweep.test_study import plan_of


def trial(number: int, state: Any = "complete", **more: Any) -> Trial:
    attempts = (Attempt(f"20261127-09120{number}-t{number}-7c1e", "local"),)
    params = {"lr": 0.00213 * (number + 1), "size": 16}
    keys = {"params": params, "attempts": attempts, **more}
    return Trial(number, state, **keys)


def drawn(screen: SweepScreen, console: Console) -> list[str]:
    with console.capture() as captured:
        console.print(screen.draw())
    return [Text.from_ansi(line).plain.rstrip() for line in captured.get().splitlines()]


def test_the_screen_has_what_runs_then_the_best() -> None:
    console = Console(file=io.StringIO(), width=110, height=24, force_terminal=True)
    screen = SweepScreen(plan_of(max_cost_usd=6.0), console, lambda: 1.124)
    screen.on_trial(trial(0, score=Score(0.5, 0.4, 0.6), seconds=52), "complete")
    screen.on_trial(trial(1, score=Score(0.7, 0.6, 0.8), seconds=50), "complete")
    screen.on_trial(trial(2, "running"), "begun")
    screen.on_step(trial(2, "running"), 12, 0.701)
    lines = drawn(screen, console)
    assert lines[0] == "2 done, 1 running, 1 to go   $1.12 of $6.00"
    rows = [line.split() for line in lines if "-7c1e" in line or line[:8].strip().isdigit()]
    assert [row[0] for row in rows] == ["2", "1", "0"]
    assert rows[0][1:4] == ["running,", "12", "0.701"]
    assert rows[1][1:5] == ["best", "0.700", "[0.600,", "0.800]"]
    assert "resume" in lines[-1]


def test_a_screen_of_many_trials_has_the_height_of_the_terminal() -> None:
    console = Console(file=io.StringIO(), width=110, height=20, force_terminal=True)
    screen = SweepScreen(plan_of(trials=200), console, lambda: 0.0)
    for number in range(200):
        state = "running" if number > 180 else "complete"
        screen.on_trial(trial(number % 10 + number, state, score=Score(number / 200)), "begun")
    assert len(drawn(screen, console)) <= 20


def test_json_lines_are_strict() -> None:
    said: list[dict[str, Any]] = []
    output = SweepOutput(plan_of(), answer=said.append)
    output.on_trial(trial(0, score=Score(0.5)), "complete")
    output.on_step(trial(0), 3, 0.25)
    output.on_note("pod a is no longer used")
    assert [one["kind"] for one in said] == ["trial", "step", "note"]
    assert said[0]["value"] == 0.5
    assert said[0]["interval"] is None
    assert json.dumps(said, allow_nan=False)


def test_what_a_pod_says_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    output = SweepOutput(plan_of(), answer=None)
    output.on_trial(trial(0, "failed", why="bad \x1b[2J thing"), "failed")
    assert "\x1b" not in capsys.readouterr().err
