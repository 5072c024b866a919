"""The client side of the stream: every byte of a run's log, once, in order, whatever is cut.

The frames are those of docs/protocol.md. What has arrived lies in a journal on the laptop, whose
sizes are the offsets to continue from: a laptop that was closed continues the next day. Several
followers may share one journal, since each byte has one place in it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from moola_remote.agent_client.answers import is_missing
from moola_remote.agent_client.client import Agent
from moola_remote.errors import TransferError, UnreachableError
from moola_remote.follow.journal import BLOCK, Journal
from moola_remote.follow.reconnect import Link, MuteAgentError, Outage
from moola_remote.protocol.events import Event, EventReader
from moola_remote.protocol.frames import (
    FILES,
    Data,
    FileName,
    Frame,
    FrameParser,
    Opened,
    Restarted,
    StateFrame,
)
from moola_remote.protocol.refusal import last_words
from moola_remote.protocol.state import RunState, read_state

if TYPE_CHECKING:
    from moola_remote.ssh.transport import Channel
logger = logging.getLogger(__name__)
# The pod says something every 5 s.
SILENCE_S = 20.0


@dataclass(frozen=True)
class Notice:
    """One line about the connection; while it is down the run is UNREACHABLE, no more is known."""

    text: str
    is_connected: bool


@dataclass(frozen=True)
class Listener:
    """Callbacks for what arrives; each is called from the thread that follows.

    Attributes:
        on_log: bytes of the log, contiguous and in order.
        on_event: an event of ``events.jsonl``.
        on_state: the run's state, at the beginning and whenever it changed.
        on_notice: the connection was lost, or is back.
        on_replayed: what the journal had was passed on; what follows is new.
    """

    on_log: Callable[[bytes], None] = lambda _: None
    on_event: Callable[[Event], None] = lambda _: None
    on_state: Callable[[RunState], None] = lambda _: None
    on_notice: Callable[[Notice], None] = lambda _: None
    on_replayed: Callable[[], None] = lambda: None


def follow(
    link: Link,
    run_id: str,
    journal: Journal,
    listener: Listener,
    *,
    replay: bool = False,
    log_from: int = 0,
) -> RunState:
    """Follow a run to its end, over any number of lost connections.

    Args:
        link: the pod.
        run_id: a whole run id.
        journal: what has arrived before; what arrives is added to it.
        listener: called with what arrives.
        replay: pass the listener first what the journal already has.
        log_from: of the log, only from this offset on; not beyond what the journal has.

    Returns:
        The state that the run ended with.

    Raises:
        UnreachableError: after `Link.give_up_s`, or the agent says nothing time and again.
        PodGoneError: the pod has been stopped or removed.
        ConfigError: no such run.
        TransferError: what arrives is no stream of ours.
        LimitError: the journal can't be written.
    """
    following = Following(run_id, journal, listener)
    following.begin(replay=replay, log_from=log_from)
    outage = Outage(link)
    agent: Agent | None = link.agent
    while True:
        try:
            agent = agent or link.reconnect()
            return following.once(agent)
        except UnreachableError as err:
            if following.take_heard():
                outage = Outage(link)
            outage.add(err)
            if outage.num_attempts == 1:
                following.lose(err)
        finally:
            if agent is not None and agent is not link.agent:
                agent.transport.close()
            agent = None
        time.sleep(outage.wait_s())


class Following:
    """One follower's place in the stream."""

    def __init__(self, run_id: str, journal: Journal, listener: Listener) -> None:
        self.run_id = run_id
        self.journal = journal
        self.listener = listener
        self.has_heard = False
        self._place: dict[FileName, int] = {}
        self._replay: Callable[[], None] | None = None
        self._events = EventReader()
        self._lost_at: float | None = None

    def begin(self, *, replay: bool, log_from: int = 0) -> None:
        """Take the place where the journal ends."""
        self._place = {file: self.journal.size(file) for file in FILES}
        self._replay = partial(self._replay_log, log_from) if replay else self.listener.on_replayed
        # Always read: the last line may be half there, and the reader needs its beginning.
        for block in self.journal.read("events", 0, self._place["events"]):
            for event in self._events.feed(block):
                if replay:
                    self.listener.on_event(event)

    def _replay_log(self, log_from: int) -> None:
        for block in self.journal.read("log", log_from, self._place["log"]):
            self.listener.on_log(block)
        self.listener.on_replayed()

    def _replay_once(self) -> None:
        """Pass on what the journal has, once the pod has said that it is right, or can't say."""
        replay, self._replay = self._replay, None
        if replay is not None:
            replay()

    def lose(self, err: UnreachableError) -> None:
        """Say that the connection is gone."""
        self._replay_once()
        logger.info("stream lost at %s: %s", self._place, err)
        self._lost_at = time.monotonic()
        text = f"{err.message}: the run keeps running, reconnecting"
        self.listener.on_notice(Notice(text, is_connected=False))

    def take_heard(self) -> bool:
        """Return whether anything was heard since this was last asked."""
        heard, self.has_heard = self.has_heard, False
        return heard

    def once(self, agent: Agent) -> RunState:
        """Follow over one connection, to the run's end.

        Raises:
            UnreachableError: it was lost before.
        """
        state, code, stderr = self._read(agent)
        if state is None and is_missing(code, stderr):
            agent.upload()
            state, code, stderr = self._read(agent)
        if state is not None:
            return state
        if self.has_heard:
            raise UnreachableError("the stream ended before the run")
        raise MuteAgentError(f"agent follow: exit code {code}: {last_words(stderr) or 'no word'}")

    def _read(self, agent: Agent) -> tuple[RunState | None, int, bytes]:
        """Return the last state, or the exit code and errors of a stream that ended without it."""
        channel = self._open(agent)
        parser = FrameParser()
        try:
            while piece := channel.read(BLOCK, SILENCE_S):
                for frame in parser.feed(piece):
                    if not self.has_heard or self._replay is not None:
                        self._hear(frame)
                    if isinstance(frame, Data):
                        self._keep(frame)
                    elif isinstance(frame, StateFrame) and frame.is_last:
                        return self._stand(frame), 0, b""
                    else:
                        self._take(frame)
            return None, channel.returncode(5.0), channel.stderr()
        finally:
            channel.close()

    def _open(self, agent: Agent) -> Channel:
        places = []
        for word, file in (("log", FILES[0]), ("event", FILES[1])):
            places += [f"--{word}-offset", str(self._place[file])]
            generation = self.journal.generation(file)
            if generation is not None and self._place[file]:
                tail = self.journal.tail(file, self._place[file])
                places += [f"--{word}-generation={generation}{tail}"]
        return agent.open("follow", self.run_id, *places)

    def _hear(self, frame: Frame) -> None:
        """Take note of the first frames over a connection."""
        if not self.has_heard:
            self.has_heard = True
            self._say_connected()
        if not isinstance(frame, Restarted):
            self._replay_once()

    def _say_connected(self) -> None:
        if self._lost_at is not None:
            away_s = time.monotonic() - self._lost_at
            self._lost_at = None
            text = f"connected again after {away_s:.0f} s, nothing is lost"
            self.listener.on_notice(Notice(text, is_connected=True))

    def _keep(self, frame: Data) -> None:
        file, offset, data = frame.file, frame.offset, frame.data
        place = self._place[file]
        if offset != place:
            raise TransferError(f"stream: {file}: expected offset {place}, got {offset}")
        # Shown first, kept whatever the listener raises; what a death in between keeps from the
        # journal is asked for again.
        try:
            if file == "log":
                self.listener.on_log(data)
            else:
                for event in self._events.feed(data):
                    self.listener.on_event(event)
        finally:
            self.journal.write(file, offset, data)
            self._place[file] = place + len(data)

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Opened):
            self.journal.begin(frame.file, frame.generation)
        elif isinstance(frame, Restarted):
            self._restart(frame)
        elif isinstance(frame, StateFrame):
            self._stand(frame)

    def _restart(self, frame: Restarted) -> None:
        self.journal.restart(frame.file)
        self._place[frame.file] = 0
        if frame.file == "events":
            self._events = EventReader()
        where = "from the pod's" if frame.why == "different" else "on the pod"
        text = f"{frame.file} was {frame.why} {where}: from its beginning again"
        self.listener.on_notice(Notice(text, is_connected=True))

    def _stand(self, frame: StateFrame) -> RunState:
        state = read_state(frame.state)
        self.listener.on_state(state)
        return state
