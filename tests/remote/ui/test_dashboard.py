"""The live view: golden screens, bounds for any size, plain and JSON output, a real terminal.

`make golden` redraws the screens.
"""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from moola_remote.config.typed import typed
from moola_remote.follow.view import RunView
from moola_remote.protocol.events import CheckpointEvent, EpochEvent, EventReader, NoteEvent
from moola_remote.text.format import score
from moola_remote.text.sanitize import safe_lines
from moola_remote.ui import panels, sparkline
from moola_remote.ui.dashboard import Dashboard
from tests.remote.text.test_sanitize import LOGS, acts_of
from tests.support.cases import at_most
from tests.support.golden import kept
from tests.support.golden_run import GOLDEN, NOW, golden_view, state


def shown(view: RunView, width: int, height: int, *, is_final: bool = False) -> str:
    console = Console(
        width=width, height=height, file=io.StringIO(), force_terminal=True, record=True
    )
    size = {"width": width, "now": NOW}
    text = panels.final(view, **size) if is_final else panels.draw(view, height=height, **size)
    console.print(text, no_wrap=True, overflow="crop")
    lines = console.export_text().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50), (200, 30)])
def test_the_screen_looks_as_it_did(width: int, height: int) -> None:
    text = shown(golden_view(), width, height)
    assert text == kept(GOLDEN / f"screen-{width}x{height}.txt", text)


def test_the_summary_looks_as_it_did() -> None:
    view = golden_view()
    view.take_state(state(state="FAILED", ended_at=NOW, reason="exit code 1"), NOW)
    text = shown(view, 80, 24, is_final=True)
    assert text == kept(GOLDEN / "final-80.txt", text)


@at_most(60)
@given(st.integers(20, 220), st.integers(6, 70), st.integers(0, 60), st.text(max_size=300))
def test_a_screen_of_any_size_fits(width: int, height: int, num_epochs: int, noise: str) -> None:
    view = RunView("pod" + noise, "run" + noise, gpu=noise, price_per_hour=1.0)
    view.take_state(state(reason=noise), NOW)
    view.take_log(noise.encode("utf-8", "replace") * 5)
    names = ("total", "span", noise[:70], "a" * 60)
    for epoch in range(1, num_epochs + 1):
        losses = dict.fromkeys(names, float("nan") if epoch % 7 == 0 else 1e9 / epoch**5)
        table = {"epoch": epoch, "epochs": 60, "train": losses, "validation": losses}
        view.take_event(typed(EpochEvent, table))
    text = panels.draw(view, width=width, height=height, now=NOW)
    lines = text.split("\n", allow_blank=True)
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)


@at_most(60)
@given(LOGS)
def test_a_hostile_pod_can_only_have_the_dashboard_draw(noise: bytes) -> None:
    text = noise.decode("utf-8", "surrogateescape")
    view = RunView("pod", text, gpu=text)
    view.take_state(state(reason=text, last_lines=[text]), NOW)
    view.take_log(noise)
    console = Console(width=80, height=24, file=io.StringIO(), force_terminal=True)
    console.print(panels.draw(view, width=80, height=24, now=NOW), no_wrap=True, overflow="crop")
    assert isinstance(console.file, io.StringIO)
    assert acts_of(console.file.getvalue()) <= {"draw", "linefeed", "select_graphic_rendition"}


def test_a_run_without_epochs_shows_its_log() -> None:
    view = RunView("local", "20261122-153012-ls-3f2a")
    view.take_log(b"".join(b"line %d\n" % number for number in range(100)))
    lines = shown(view, 80, 24).splitlines()
    assert lines[0].split() == ["STARTING", "20261122-153012-ls-3f2a"]
    assert lines[-1] == "line 99"
    assert len(lines) == 24


def test_a_place_in_the_queue_and_a_lost_link_are_reported() -> None:
    view = RunView("local", "r")
    view.link = "reconnecting, try 3 in 8 s"
    view.take_state(state(state="QUEUED", queue_position=2, started_at=None), NOW)
    assert "QUEUED 2" in shown(view, 80, 24)
    assert "reconnecting, try 3 in 8 s" in shown(view, 80, 24)


@pytest.mark.parametrize("width", [80, 120])
def test_the_link_is_in_sight_whatever_the_pod_is_called(width: int) -> None:
    view = RunView("a-pod-" * 6, "r", gpu="NVIDIA GeForce RTX 4090 Ti SUPER " * 2)
    view.link = "no answer for 25 s, reconnecting, try 3 in 8 s"
    view.take_state(state(), NOW)
    assert view.link in shown(view, width, 24)
    view.link = ""
    assert "… · connected\n" in shown(view, width, 24)


def test_after_the_last_epoch_the_job_is_finishing() -> None:
    view = golden_view()
    view.take_event(EpochEvent(t=NOW, epoch=40, epochs=40, seconds=7.0))
    assert "epoch 40/40 · 100% · finishing" in shown(view, 80, 24)
    view.take_state(state(state="SUCCEEDED", ended_at=NOW), NOW)
    assert "finishing" not in shown(view, 80, 24)


def test_a_loss_that_is_no_number_is_seen() -> None:
    view = golden_view()
    nan = float("nan")
    view.take_event(
        EpochEvent(epoch=13, epochs=40, train={"total": nan}, validation={"total": nan})
    )
    text = shown(view, 80, 24)
    assert "   13      nan     nan" in text
    assert "!" in text


@given(st.floats(0, 1e30))
def test_a_sigma_never_leaves_its_column(value: float) -> None:
    assert len(score(value)) <= 5


def test_the_end_of_a_run_shows_its_scores_and_not_its_checkpoints() -> None:
    view = golden_view()
    view.take_log(b"\n" + b"".join(b"score %d\n" % number for number in range(20)))
    for epoch in (11, 12):
        view.take_event(CheckpointEvent(epoch=epoch, best=True))
    assert "checkpoint 12\n" in shown(view, 80, 24, is_final=True)
    view.take_state(state(state="SUCCEEDED", ended_at=NOW), NOW)
    text = shown(view, 80, 24, is_final=True)
    assert all(f"\nscore {number}\n" in text for number in range(20))
    assert text.count("checkpoint") == 1


def test_what_a_run_does_not_report_takes_no_column_and_is_no_alarm() -> None:
    view = RunView("local", "r")
    view.take_event(EpochEvent(epoch=1, epochs=5, train={"total": 1.9, "choice": 3.6}, seconds=1))
    text = shown(view, 120, 24)
    assert "nan" not in text
    assert "!" not in text
    heads = next(line for line in text.splitlines() if line.startswith("epoch "))
    assert heads.split() == ["epoch", "train", "choice", "s"]


def test_the_best_epoch_stays_in_sight() -> None:
    view = golden_view()
    for epoch in range(13, 41):
        view.take_event(EpochEvent(epoch=epoch, epochs=40, validation={"total": 9.0}))
    assert "\n   12*" in shown(view, 80, 24)


def test_a_resumed_run_goes_on_from_its_checkpoint() -> None:
    view = golden_view()
    view.take_event(EpochEvent(epoch=11, epochs=40, validation={"total": 1.0}))
    assert list(view.epochs) == list(range(1, 12))
    assert view.best_epoch == 11


def test_time_and_money_to_go_follow_the_pods_clock() -> None:
    view = RunView("pod", "run", price_per_hour=3600.0)
    view.take_state(state(started_at=100.0, now=150.0), now=1150.0)
    view.take_event(EpochEvent(t=140.0, epoch=4, epochs=10, seconds=20.0))
    assert view.elapsed_s(now=1150.0) == 50.0
    assert view.spent_usd(now=1150.0) == pytest.approx(50.0)
    assert view.left_s(now=1150.0) == 6 * 20 - 10
    assert view.left_usd(now=1160.0) == pytest.approx(6 * 20 - 20)
    view.take_state(state(state="SUCCEEDED", started_at=100.0, ended_at=160.0), now=9999.0)
    assert (view.elapsed_s(now=9999.0), view.left_s(now=9999.0)) == (60.0, None)


def test_a_curve_has_one_step_an_epoch_or_the_mean_of_neighbours() -> None:
    assert sparkline.sparkline([0, 1, 2, 3, 4, 5, 6, 7], 20, 0, 7) == "▁▂▃▄▅▆▇█"
    assert sparkline.sparkline([0.0] * 50 + [8.0] * 50, 4, 0, 8) == "▁▁██"
    assert sparkline.sparkline([1, float("nan"), 1], 3, 1, 1) == "▁!▁"
    assert sparkline.sparkline([], 3, 0, 0) == ""


def replay_into(dashboard: Dashboard) -> None:
    with dashboard:
        dashboard.on_link("connected")
        dashboard.on_state(state())
        dashboard.on_log((GOLDEN / "log").read_bytes())
        for event in EventReader().feed((GOLDEN / "events.jsonl").read_bytes()):
            dashboard.on_event(event)
        dashboard.on_event(NoteEvent(text="a note"))
        dashboard.on_state(state(state="SUCCEEDED", ended_at=NOW))


def test_a_pipe_gets_plain_lines_and_the_talk_goes_aside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = io.StringIO()
    replay_into(Dashboard(RunView("pod", "run-1"), console=Console(file=out)))
    lines = out.getvalue().splitlines()
    assert "\x1b" not in out.getvalue()
    assert lines[0] == "2026-11-22 15:30:12 INFO loaded labelled/part-12.parquet, 21 windows"
    assert lines[-1].startswith("batches:  50%")
    assert lines == safe_lines((GOLDEN / "log").read_bytes().decode("utf-8", "replace"))
    assert capsys.readouterr().err.splitlines() == [
        "connected",
        "run-1: RUNNING",
        "note: a note",
        "run-1: SUCCEEDED",
    ]


def test_json_is_one_strict_object_a_line() -> None:
    out = io.StringIO()
    dashboard = Dashboard(RunView("pod", "run-1"), console=Console(file=out), as_json=True)
    replay_into(dashboard)
    with dashboard:
        dashboard.on_state(state(reason="\x7f\x9b\u202e", started_at=float("nan")))
    tables = [json.loads(line, parse_constant=pytest.fail) for line in out.getvalue().splitlines()]
    assert {table["schema"] for table in tables} == {1}
    assert [table["kind"] for table in tables].count("epoch") == 12
    assert tables[0]["state"]["state"] == "RUNNING"
    assert out.getvalue().isascii()
    assert "\x7f" not in out.getvalue()
