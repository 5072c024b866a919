"""``follow``: the frames of one run, until it has ended or the reader is gone."""

from __future__ import annotations

import json
import time
from typing import List, Optional, Tuple

from moola_remote.agent.constants import ENDED, HEARTBEAT_S, Json
from moola_remote.agent.feed import FileTail, InotifyWatch, send
from moola_remote.agent.layout import Pod, Run
from moola_remote.agent.state import settle, view


class Follower:
    """Sends the frames of docs/protocol.md until the run is over, or the reader is gone."""

    def __init__(self, pod: Pod, run: Run, feeds: List[FileTail]) -> None:
        self.pod = pod
        self.run = run
        self.feeds = feeds
        self.bell = InotifyWatch(run.path)
        self.state = settle(pod, run)
        self.seen = signature(run)
        self.shown: Optional[Json] = None
        self.sent_at = self.settled_at = time.monotonic()

    def live(self) -> None:
        while True:
            # Known before the files are read: what is written until a run is over is then sent.
            is_over = self.state["state"] in ENDED
            for feed in self.feeds:
                feed.is_over = is_over
            sent = sum(feed.pump() for feed in self.feeds)
            if is_over and not sent and self.shown is not None:
                self.send_state("E")
                return
            if self.look():
                continue
            # Whatever is written from here on rings: only what is left of now can't wait.
            is_behind = is_over or not all(feed.is_at_end for feed in self.feeds)
            self.rest(sent)
            if not self.hear(0.0 if is_behind else 1.0):
                return

    def hear(self, seconds: float) -> bool:
        """Wait for a change, False when stdin has ended; the log's alone is dealt with at once.

        Whatever is done between a line and our sleep keeps the SSH server, where it was woken on
        our processor, from sending the line: that is a third of its way.
        """
        log, until = self.feeds[0], time.monotonic() + 1.0
        before = log.offset
        while self.bell.wait(seconds, first=log.pump_line):
            if self.bell.changed != {b"log"} or time.monotonic() > until:
                return True
            sent = log.offset - before
            if not sent:
                sent = log.pump()
                if not sent or not log.is_at_end:
                    return True
            before = log.offset
            self.rest(sent)
            seconds = 1.0
        return False

    def look(self) -> bool:
        """Send the state if it has changed; whether it has."""
        now = time.monotonic()
        if now - self.settled_at >= HEARTBEAT_S:
            self.state, self.settled_at = settle(self.pod, self.run), now
        elif signature(self.run) != self.seen:
            self.seen, self.state = signature(self.run), self.run.state()
        elif self.shown is not None:
            return False
        shown = public_state(view(self.pod, self.state))
        if shown == self.shown:
            return False
        self.shown = shown
        self.send_state("P")
        return True

    def send_state(self, kind: str) -> None:
        payload = json.dumps(view(self.pod, self.state)).encode()
        send(f"{kind} {len(payload)}\n".encode(), payload)

    def rest(self, sent: int) -> None:
        """Rest briefly after sending; after a long silence send a sign of life."""
        now = time.monotonic()
        silence_s = now - self.sent_at
        if not sent and silence_s < HEARTBEAT_S:
            return
        if not sent:
            send(f"H {time.time():.3f}\n".encode())
        elif silence_s < 0.002:
            # A writer that never rests is read a thousand times a second, in bigger pieces.
            time.sleep(0.001)
        self.sent_at = now


def signature(run: Run) -> Tuple[int, int]:
    found = (run.path / "state.json").stat()
    return found.st_mtime_ns, found.st_ino


def public_state(state: Json) -> Json:
    """Return a state without what changes with each heartbeat."""
    restless = (
        *("heartbeat_at", "log_size", "events_size", "supervisor", "now"),
        *("samples", "idle_share"),
    )
    return {key: value for key, value in state.items() if key not in restless}


def follow(
    pod: Pod,
    run: Run,
    log_offset: int,
    log_generation: Optional[str],
    event_offset: int,
    event_generation: Optional[str],
) -> None:
    """Send the frames of ``follow`` until the run has ended or the reader is gone."""
    log = FileTail(run, "log", log_offset, log_generation)
    events = FileTail(run, "events", event_offset, event_generation)
    Follower(pod, run, [log, events]).live()
