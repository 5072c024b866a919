"""The stream on the laptop: every byte of the log, once, in order, whatever is cut."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time

import pytest

from moola_remote.errors import ConfigError, UnreachableError
from moola_remote.follow.journal import Journal
from moola_remote.protocol.events import NoteEvent
from moola_remote.protocol.frames import Data, Frame, FrameParser, StateFrame
from tests.support.following import LINES, Laptop, Watcher
from tests.support.lanes import HANGS_S
from tests.support.pods import AgentPod, is_alive

pytestmark = pytest.mark.process


class Impatient(Watcher):
    """Presses Ctrl-C at the first word."""

    def take(self, data: bytes) -> None:  # noqa: ARG002 - what it is doesn't matter
        signal.raise_signal(signal.SIGINT)


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


def test_the_end_is_known_though_the_supervisor_is_killed_meanwhile(
    pod: AgentPod, laptop: Laptop
) -> None:
    run_id = pod.shell(
        'echo ready; while [ ! -e "$MOOLA_RUN_DIR/.go" ]; do sleep 0.02; done; exit 7'
    )
    pod.wait_for_log(run_id, "ready")
    pod.wait(run_id, "RUNNING")
    pod.kill(run_id, "supervisor")
    threading.Timer(1, (pod.folder(run_id) / ".go").touch).start()
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
    run_id = pod.shell("echo one; sleep 600")
    agent = laptop.agent(laptop.transport)
    agent.upload()
    channel = laptop.transport.open(agent.argv("follow", run_id))
    assert channel.read(10)
    began = time.monotonic()
    channel.close()
    assert time.monotonic() - began < HANGS_S  # the run takes longer
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
    while piece := channel.read(1000, HANGS_S):
        frames += parser.feed(piece)
    channel.close()
    log = b"".join(one.data for one in frames if isinstance(one, Data) and one.file == "log")
    assert log == b"one\ntwo\n"[3 if offsets else 0 :]
    assert isinstance(frames[-1], StateFrame)
    assert frames[-1].is_last


def test_ctrl_c_ends_the_following_and_nothing_else(pod: AgentPod, laptop: Laptop) -> None:
    run_id = pod.shell("echo one; sleep 600")
    with pytest.raises(KeyboardInterrupt):
        laptop.follow(run_id, Impatient())
    assert pod.state(run_id)["state"] == "RUNNING"
