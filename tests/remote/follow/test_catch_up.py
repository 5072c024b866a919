"""While you were away: one to four lines, from what came since."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent_client.client import Agent
from moola_remote.follow.catch_up import CatchUp
from moola_remote.follow.follower import Listener, Notice, follow
from moola_remote.follow.journal import Journal, LogEnd
from moola_remote.follow.reconnect import Link
from moola_remote.protocol.events import EpochEvent, NoteEvent
from moola_remote.protocol.state import RunState
from moola_remote.runs.local_state import AWAY_S, LastSeen, LocalRun
from tests.support.fakes import ShellTransport
from tests.support.pods import AgentPod, wait_until


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def epoch(number: int, f1: float = 0.5, total: float = 1.0) -> EpochEvent:
    return EpochEvent(epoch=number, epochs=40, train={"total": total}, scores={"f1": f1})


def state(name: Any = "RUNNING") -> RunState:
    return RunState(run_id="run", state=name)


def test_what_came_since_is_summed_up_and_what_was_known_counts_for_the_best(
    tmp_path: Path, clock: Clock
) -> None:
    notes, shown = LocalRun(tmp_path), list[str]()
    notes.see(LastSeen(clock.now, "RUNNING"))
    clock.now += 7500
    away = CatchUp(notes, shown.extend, clock)
    listener = away.beside(Listener())
    listener.on_event(epoch(1, 0.9))
    listener.on_replayed()
    for event in (epoch(2), epoch(3, total=float("nan")), NoteEvent(text="torn"), epoch(4, 0.8)):
        listener.on_event(event)
    assert shown == []
    listener.on_state(state("SUCCEEDED"))
    assert shown == [
        "while you were away (2h 05m): RUNNING → SUCCEEDED; 3 epochs, now 4/40",
        "best f1 so far 0.900, at epoch 1",
        "loss is not finite since epoch 3",
        "note: torn",
    ]
    assert notes.seen == LastSeen(clock.now, "SUCCEEDED")
    listener.on_event(epoch(5))
    listener.on_state(state("SUCCEEDED"))
    assert len(shown) == 4


@pytest.mark.parametrize("seconds", [0.0, AWAY_S - 1])
def test_a_short_absence_is_none(tmp_path: Path, clock: Clock, seconds: float) -> None:
    notes, shown = LocalRun(tmp_path), list[str]()
    notes.see(LastSeen(clock.now, "QUEUED"))
    clock.now += seconds
    away = CatchUp(notes, shown.extend, clock)
    away.on_event(epoch(2))
    away.on_state(state())
    assert shown == []


def test_a_run_never_seen_before_or_without_news_has_nothing_to_report(
    tmp_path: Path, clock: Clock
) -> None:
    shown = list[str]()
    first = CatchUp(LocalRun(tmp_path), shown.extend, clock)
    first.on_event(epoch(2))
    first.on_state(state())
    clock.now += 1e6
    CatchUp(LocalRun(tmp_path), shown.extend, clock).on_state(state())
    assert shown == []


def test_an_outage_is_an_absence(tmp_path: Path, clock: Clock) -> None:
    shown = list[str]()
    away = CatchUp(LocalRun(tmp_path), shown.extend, clock)
    away.on_state(state())
    away.on_event(epoch(7))
    away.on_notice(Notice("lost", is_connected=False))
    clock.now += 280
    for is_connected in (True, False, True):
        clock.now += 10
        away.on_notice(Notice("again", is_connected=is_connected))
    away.on_event(epoch(8))
    away.on_state(state())
    assert shown == [
        "while you were away (5m 10s): 1 epoch, now 8/40; connection lost 2 times",
        "best f1 so far 0.500, at epoch 7",
    ]


def test_who_looks_for_long_is_not_away(tmp_path: Path, clock: Clock) -> None:
    notes = LocalRun(tmp_path)
    away = CatchUp(notes, lambda _: None, clock)
    away.on_state(state())
    clock.now += 5000
    away.on_event(epoch(1))
    assert notes.seen == LastSeen(clock.now, "RUNNING")


@pytest.fixture
def link(pod: AgentPod, tmp_path: Path) -> Link:
    agent = Agent(ShellTransport(tmp_path), root=str(pod.root), python=sys.executable)
    return Link(agent, lambda: agent)


@pytest.mark.process
def test_a_logs_end_is_followed_without_what_is_before_and_events_are_kept(
    pod: AgentPod, link: Link, tmp_path: Path
) -> None:
    go = '"$MOOLA_RUN_DIR/.go"'
    run_id = pod.shell(f"seq 1000; while [ ! -e {go} ]; do sleep 0.02; done; echo end")
    pod.wait_for_log(run_id, "1000\n")
    log, states = list[bytes](), list[RunState]()
    listener = Listener(on_log=log.append, on_state=states.append)
    size = (pod.folder(run_id) / "log").stat().st_size

    def look() -> None:
        with LogEnd(tmp_path / "journal", size - 5) as journal:
            follow(link, run_id, journal, listener, replay=True)

    thread = threading.Thread(target=look)
    thread.start()
    wait_until(lambda: b"".join(log) == b"1000\n")
    (pod.folder(run_id) / ".go").touch()
    thread.join()
    assert b"".join(log) == b"1000\nend\n"
    assert (tmp_path / "journal" / "log").read_bytes() == b""
    events = (pod.folder(run_id) / "events.jsonl").read_bytes()
    assert (tmp_path / "journal" / "events.jsonl").read_bytes() == events
    with Journal(tmp_path / "journal") as journal:
        log.clear()
        follow(link, run_id, journal, listener)
        assert b"".join(log) == (pod.folder(run_id) / "log").read_bytes()
        log.clear()
        follow(link, run_id, journal, listener, replay=True, log_from=size)
        assert b"".join(log) == b"end\n"
