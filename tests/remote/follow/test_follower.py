"""The stream on the laptop: every byte of the log, once, in order, whatever is cut."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent_client.client import Agent
from moola_remote.errors import ConfigError, UnreachableError
from moola_remote.follow.follower import Listener, Notice, follow
from moola_remote.follow.journal import Journal
from moola_remote.follow.reconnect import Link
from moola_remote.protocol.events import Event, NoteEvent
from moola_remote.protocol.frames import Data, Frame, FrameParser, StateFrame
from moola_remote.protocol.state import RunState
from tests.support.fakes import ShellTransport
from tests.support.pods import AgentPod, is_alive, wait_until

pytestmark = pytest.mark.process


def test_a_journal_knows_how_far_it_is_and_which_file_that_was(tmp_path: Path) -> None:
    with Journal(tmp_path / "pod" / "run") as journal:
        journal.begin("log", "1-2")
        journal.write("log", 0, b"hello ")
        journal.write("log", 6, b"world")
    with Journal(tmp_path / "pod" / "run") as journal:
        assert (journal.size("log"), journal.generation("log")) == (11, "1-2")
        assert b"".join(journal.read("log", 2, 8)) == b"llo wo"
        assert (journal.size("events"), journal.generation("events")) == (0, None)
        journal.restart("log")
        assert (journal.size("log"), journal.generation("log")) == (0, None)
    assert (tmp_path / "pod" / "run").stat().st_mode & 0o777 == 0o700


def test_a_torn_note_of_the_offsets_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "offsets").write_text("{")
    with Journal(tmp_path) as journal:
        assert journal.generation("log") is None
        journal.begin("log", "1-2")
        assert journal.generation("log") == "1-2"


class Watcher:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.log = b""
        self.events: list[Event] = []
        self.states: list[RunState] = []
        self.notices: list[Notice] = []

    @property
    def listener(self) -> Listener:
        return Listener(self.take, self.events.append, self.states.append, self.notices.append)

    def take(self, data: bytes) -> None:
        self.log += data


class Impatient(Watcher):
    """Presses Ctrl-C at the first word."""

    def take(self, data: bytes) -> None:  # noqa: ARG002 - what it is doesn't matter
        signal.raise_signal(signal.SIGINT)


class Laptop:
    """One client of a pod, with its journals."""

    def __init__(self, pod: AgentPod, folder: Path) -> None:
        self.pod = pod
        self.folder = folder
        folder.mkdir()
        self.python = sys.executable
        self.transport = ShellTransport(folder)
        self.cuts: Iterator[int | None] = iter(())
        self.made: list[ShellTransport] = []

    def agent(self, transport: ShellTransport) -> Agent:
        return Agent(transport, root=str(self.pod.root), python=self.python)

    def reconnect(self) -> Agent:
        transport = ShellTransport(self.folder)
        transport.cut_after = next(self.cuts, None)
        self.made.append(transport)
        return self.agent(transport)

    def follow(self, run_id: str, watcher: Watcher, **options: Any) -> RunState:
        replay = options.pop("replay", False)
        options.setdefault("backoff_s", (0.001,))
        link = Link(self.agent(self.transport), self.reconnect, **options)
        with Journal(self.folder / run_id) as journal:
            return follow(link, run_id, journal, watcher.listener, replay=replay)


@pytest.fixture
def laptop(pod: AgentPod, tmp_path: Path) -> Laptop:
    return Laptop(pod, tmp_path / "laptop")


LINES = "i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); sleep 0.01; done; exit 3"


def test_a_run_is_followed_to_its_end_with_every_byte(pod: AgentPod, laptop: Laptop) -> None:
    run_id = pod.shell(
        LINES + '; echo \'{"kind": "note", "text": "hi"}\' >>"$MOOLA_RUN_DIR/events.jsonl"'
    )
    watcher = Watcher()
    state = laptop.follow(run_id, watcher)
    assert (state.state, state.returncode) == ("FAILED", 3)
    assert watcher.log == (pod.folder(run_id) / "log").read_bytes()
    assert watcher.log.count(b"\n") == 30
    assert watcher.states[-1] == state
    assert {one.state for one in watcher.states} <= {"QUEUED", "PREPARING", "RUNNING", "FAILED"}
    journal = laptop.folder / run_id
    assert (journal / "log").read_bytes() == watcher.log
    assert (journal / "events.jsonl").read_bytes() == (
        pod.folder(run_id) / "events.jsonl"
    ).read_bytes()
    assert watcher.notices == []


def test_a_hundred_lost_connections_lose_no_byte_and_repeat_none(
    pod: AgentPod, laptop: Laptop
) -> None:
    program = (
        "import os, random, time\n"
        "dice = random.Random(1)\n"
        "for i in range(100000):\n"
        "    os.write(1, b'%d ' % i + bytes(dice.choices(range(256), k=30)) + b'\\n')\n"
        "    if i % 100 == 0 and not os.path.exists(os.environ['MOOLA_RUN_DIR'] + '/.go'):\n"
        "        time.sleep(0.002)\n"
    )
    run_id = pod.start(sys.executable, "-c", program)
    pod.wait_for_size(run_id, 1)
    dice = random.Random(2)
    laptop.cuts = iter([dice.randrange(200, 20_000) for _ in range(99)])
    laptop.transport.cut_after = 333
    watcher = Watcher()
    (pod.folder(run_id) / ".go").touch()
    assert laptop.follow(run_id, watcher).state == "SUCCEEDED"
    assert watcher.log == (pod.folder(run_id) / "log").read_bytes()
    assert (laptop.folder / run_id / "log").read_bytes() == watcher.log
    assert len(laptop.made) == 100
    assert all(transport.is_closed for transport in laptop.made)
    assert not laptop.transport.is_closed
    assert {notice.is_connected for notice in watcher.notices} == {True, False}


def test_a_closed_laptop_goes_on_where_it_was_the_next_day(pod: AgentPod, laptop: Laptop) -> None:
    run_id = pod.shell(f"{LINES.replace('exit 3', '')} echo end")
    first = Watcher()
    laptop.transport.cut_after = 700
    laptop.cuts = iter([0] * 1000)
    with pytest.raises(UnreachableError):
        laptop.follow(run_id, first, give_up_s=0.01)
    assert first.log
    laptop.transport.cut_after = None
    second = Watcher()
    laptop.follow(run_id, second)
    assert first.log + second.log == (pod.folder(run_id) / "log").read_bytes()
    third = Watcher()
    laptop.follow(run_id, third, replay=True)
    assert third.log == first.log + second.log


def test_an_event_that_was_cut_in_the_middle_is_whole_the_next_day(
    pod: AgentPod, laptop: Laptop
) -> None:
    run_id = pod.shell("exit 0")
    pod.wait(run_id)
    line = b'{"kind": "note", "text": "cut in the middle"}\n'
    (pod.folder(run_id) / "events.jsonl").write_bytes(line)
    with Journal(laptop.folder / run_id) as journal:
        journal.write("events", 0, line[:20])
    watcher = Watcher()
    laptop.follow(run_id, watcher)
    assert [event.text for event in watcher.events if isinstance(event, NoteEvent)] == [
        "cut in the middle"
    ]


def test_two_followers_with_one_journal_each_see_everything(pod: AgentPod, laptop: Laptop) -> None:
    run_id = pod.shell(LINES)
    one, other = Watcher(), Watcher()
    thread = threading.Thread(target=laptop.follow, args=(run_id, one))
    thread.start()
    laptop.follow(run_id, other)
    thread.join()
    log = (pod.folder(run_id) / "log").read_bytes()
    assert log.endswith(one.log)
    assert log.endswith(other.log)
    assert (laptop.folder / run_id / "log").read_bytes() == log


@pytest.mark.parametrize("how", ["truncated", "replaced"])
def test_a_log_that_is_begun_anew_is_shown_anew(pod: AgentPod, laptop: Laptop, how: str) -> None:
    run_id = pod.shell('echo first words; while [ ! -e "$MOOLA_RUN_DIR/.go" ]; do sleep 0.02; done')
    pod.wait_for_log(run_id, "first")
    watcher = Watcher()
    thread = threading.Thread(target=laptop.follow, args=(run_id, watcher))
    thread.start()
    wait_until(lambda: watcher.log)
    log = pod.folder(run_id) / "log"
    if how == "truncated":
        os.truncate(log, 0)
        wait_until(lambda: watcher.notices)
        with log.open("a") as file:
            file.write("second\n")
    else:
        (pod.folder(run_id) / ".new").write_text("second\n")
        (pod.folder(run_id) / ".new").rename(log)
    wait_until(lambda: watcher.log.endswith(b"second\n"))
    (pod.folder(run_id) / ".go").touch()
    thread.join()
    assert watcher.log == b"first words\nsecond\n"
    assert [notice.text for notice in watcher.notices] == [
        f"log was {how} on the pod: from its beginning again"
    ]
    assert (laptop.folder / run_id / "log").read_bytes() == b"second\n"


def test_a_journal_of_another_file_is_not_added_to(pod: AgentPod, laptop: Laptop) -> None:
    run_id = pod.shell("echo the real log, of some length")
    pod.wait(run_id)
    with Journal(laptop.folder / run_id) as journal:
        journal.begin("log", "dead-beef")
        journal.write("log", 0, b"something else")
    watcher = Watcher()
    laptop.follow(run_id, watcher)
    assert watcher.log == b"the real log, of some length\n"
    assert (laptop.folder / run_id / "log").read_bytes() == watcher.log


@pytest.mark.parametrize("spoilt", [b"\0\0\0\0", b"????", b"log\n"])
@pytest.mark.parametrize("replay", [True, False])
def test_an_end_that_a_power_cut_has_spoilt_is_never_shown_and_comes_again(
    pod: AgentPod, laptop: Laptop, spoilt: bytes, replay: bool
) -> None:
    run_id = pod.shell("seq 3000; echo end of it")
    pod.wait(run_id)
    laptop.follow(run_id, Watcher())
    kept, log = laptop.folder / run_id / "log", (pod.folder(run_id) / "log").read_bytes()
    assert kept.read_bytes() == log
    kept.write_bytes(log[: -len(spoilt)] + spoilt)
    watcher = Watcher()
    laptop.follow(run_id, watcher, replay=replay)
    assert kept.read_bytes() == log
    assert watcher.log == log if replay else log.endswith(watcher.log)
    assert [notice.text for notice in watcher.notices] == (
        []
        if spoilt == b"\0\0\0\0"
        else ["log was different from the pod's: from its beginning again"]
    )


def test_a_journal_with_secrets_struck_out_is_the_same_as_the_pods(
    pod: AgentPod, laptop: Laptop
) -> None:
    run_id = pod.shell('echo "$TOKEN and more"; echo "$TOKEN"', secrets={"TOKEN": "s3cr3t-value"})
    pod.wait(run_id)
    laptop.follow(run_id, Watcher())
    watcher = Watcher()
    laptop.follow(run_id, watcher)
    assert watcher.notices == []


def test_the_end_is_known_though_the_supervisor_is_killed_meanwhile(
    pod: AgentPod, laptop: Laptop
) -> None:
    run_id = pod.shell("echo ready; sleep 1; exit 7")
    pod.wait_for_log(run_id, "ready")
    pod.wait(run_id, "RUNNING")
    pod.kill(run_id, "supervisor")
    state = laptop.follow(run_id, Watcher())
    assert (state.state, state.returncode) == ("FAILED", 7)


def test_an_unknown_run_is_no_lost_connection(laptop: Laptop) -> None:
    with pytest.raises(ConfigError, match="run test-none: there is none"):
        laptop.follow("test-none", Watcher())
    assert laptop.made == []


def test_an_agent_that_only_ends_without_a_word_is_given_up(laptop: Laptop) -> None:
    laptop.python = "/bin/false"
    with pytest.raises(UnreachableError, match="agent follow: exit code 1: no word"):
        laptop.follow("test-none", Watcher())
    assert len(laptop.made) == 2


def test_a_pod_that_takes_no_agent_is_no_lost_connection(pod: AgentPod, laptop: Laptop) -> None:
    pod.root.write_text("a file where the pod's folder should be")
    with pytest.raises(ConfigError, match="can't be written"):
        laptop.follow("test-none", Watcher())


def test_one_notice_a_loss_however_many_attempts_it_takes(pod: AgentPod, laptop: Laptop) -> None:
    run_id = pod.shell("echo one; sleep 0.5")
    pod.wait_for_log(run_id, "one")
    laptop.transport.cut_after = 20
    laptop.cuts = iter([0, 0, 0, 0])
    watcher = Watcher()
    laptop.follow(run_id, watcher)
    assert [notice.is_connected for notice in watcher.notices] == [False, True]
    assert "the run keeps running" in watcher.notices[0].text
    assert "nothing is lost" in watcher.notices[1].text


def test_the_far_end_goes_when_its_reader_is_gone(pod: AgentPod, laptop: Laptop) -> None:
    run_id = pod.shell("echo one; sleep 60")
    agent = laptop.agent(laptop.transport)
    agent.upload()
    channel = laptop.transport.open(agent.argv("follow", run_id))
    assert channel.read(10)
    began = time.monotonic()
    channel.close()
    assert time.monotonic() - began < 5
    assert not is_alive(channel.child.pid)
    assert pod.state(run_id)["state"] == "RUNNING"


@pytest.mark.parametrize("offsets", [[], ["--log-offset", "3"]])
def test_without_inotify_the_follower_looks_by_itself(
    pod: AgentPod, laptop: Laptop, offsets: list[str]
) -> None:
    """A program without ctypes, as a Python that was built without libffi."""
    run_id = pod.shell("echo one; sleep 0.3; echo two")
    poisoned = (
        "import runpy, sys; sys.modules['ctypes'] = None; sys.argv = sys.argv[1:];"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    python, flags, *words = pod.argv("follow", run_id, *offsets)
    channel = laptop.transport.open([python, flags, "-c", poisoned, *words])
    parser = FrameParser()
    frames: list[Frame] = []
    while piece := channel.read(1000, 10):
        frames += parser.feed(piece)
    channel.close()
    log = b"".join(one.data for one in frames if isinstance(one, Data) and one.file == "log")
    assert log == b"one\ntwo\n"[3 if offsets else 0 :]
    assert isinstance(frames[-1], StateFrame)
    assert frames[-1].is_last


def test_ctrl_c_ends_the_following_and_nothing_else(pod: AgentPod, laptop: Laptop) -> None:
    run_id = pod.shell("echo one; sleep 60")
    with pytest.raises(KeyboardInterrupt):
        laptop.follow(run_id, Impatient())
    assert pod.state(run_id)["state"] == "RUNNING"
