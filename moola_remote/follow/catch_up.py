"""While you were away: what happened to a run since this laptop looked at it last."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import replace

from moola_remote.errors import UnreachableError
from moola_remote.follow.follower import Listener, Notice, follow
from moola_remote.follow.journal import LogEnd
from moola_remote.follow.reconnect import Link
from moola_remote.pods.pod import Pod
from moola_remote.protocol.events import EpochEvent, Event, NoteEvent
from moola_remote.protocol.state import RunState
from moola_remote.runs.local_state import AWAY_S, LastSeen, LocalRun, notes_of, was_away
from moola_remote.text.format import duration

# How often it is noted that the user is watching.
NOTE_S = 10.0


class CatchUp:
    """Listens to a run, and sums up what came unwatched: at first, and after an outage.

    Args:
        notes: this laptop's notes on the run; brought up to date here.
        show: called with one to four lines, once everything up to now has come.
        clock: the laptop's Unix time.
    """

    def __init__(
        self,
        notes: LocalRun,
        show: Callable[[list[str]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._notes, self._show, self._clock = notes, show, clock
        self._since = notes.seen
        self._noted_at = -math.inf
        self._state: RunState | None = None
        self._best: tuple[float, int] | None = None
        self._num_epochs = 0
        self._num_lost = 0
        self._forget_news()

    def _forget_news(self) -> None:
        self._epochs: list[int] = []
        self._bad_epochs: list[int] = []
        self._texts: list[str] = []

    def beside(self, listener: Listener) -> Listener:
        """Return a listener that calls both."""

        def on_event(event: Event) -> None:
            self.on_event(event)
            listener.on_event(event)

        def on_state(state: RunState) -> None:
            self.on_state(state)
            listener.on_state(state)

        def on_notice(notice: Notice) -> None:
            self.on_notice(notice)
            listener.on_notice(notice)

        def on_replayed() -> None:
            self._forget_news()
            listener.on_replayed()

        return Listener(listener.on_log, on_event, on_state, on_notice, on_replayed)

    def on_event(self, event: Event) -> None:
        """Add an event, known or new."""
        if isinstance(event, EpochEvent):
            self._take_epoch(event)
        elif isinstance(event, NoteEvent):
            self._texts.append(event.text)
        self._note()

    def _take_epoch(self, event: EpochEvent) -> None:
        self._epochs.append(event.epoch)
        self._num_epochs = event.epochs
        total = event.train.get("total", 0.0)
        if not math.isfinite(total):
            self._bad_epochs.append(event.epoch)
        score = event.scores.get("f1", math.nan)
        if math.isfinite(score) and (self._best is None or score > self._best[0]):
            self._best = score, event.epoch

    def on_state(self, state: RunState) -> None:
        """Sum up after an absence: everything up to this state has come."""
        since, self._since = self._since, None
        if since is not None and self._clock() - since.at >= AWAY_S:
            lines = self._lines(since, state)
            if lines:
                self._show(lines)
        self._num_lost = 0
        self._forget_news()
        is_other = self._state is None or self._state.state != state.state
        self._state = state
        if is_other:
            self._noted_at = -math.inf
            self._notes.keep_state(state)
        self._note()

    def on_notice(self, notice: Notice) -> None:
        """Note an outage that begins or ends: it counts as an absence, from its beginning."""
        if notice.is_connected or self._state is None:
            return
        self._num_lost += 1
        if self._since is None:
            self._since = LastSeen(self._clock(), self._state.state)
            self._forget_news()

    def _note(self) -> None:
        now = self._clock()
        if self._state is not None and self._since is None and now - self._noted_at >= NOTE_S:
            self._notes.see(LastSeen(now, self._state.state))
            self._noted_at = now

    def _lines(self, since: LastSeen, state: RunState) -> list[str]:
        facts = []
        if since.state != state.state:
            facts.append(f"{since.state} → {state.state}")
        if self._epochs:
            last, count = self._epochs[-1], len(set(self._epochs))
            words = "1 epoch" if count == 1 else f"{count} epochs"
            whole = f"/{self._num_epochs}" if self._num_epochs else ""
            facts.append(f"{words}, now {last}{whole}")
        if self._num_lost > 1:
            facts.append(f"connection lost {self._num_lost} times")
        lines = []
        if self._epochs and self._best is not None:
            lines.append(f"best f1 so far {self._best[0]:.3f}, at epoch {self._best[1]}")
        if self._bad_epochs:
            lines.append(f"loss is not finite since epoch {self._bad_epochs[0]}")
        if self._texts:
            more = f" (and {len(self._texts) - 1} more)" if len(self._texts) > 1 else ""
            lines.append(f"note: {self._texts[-1]}{more}")
        if not facts and not lines:
            return []
        away = duration(self._clock() - since.at)
        return [f"while you were away ({away}): {'; '.join(facts) or state.state}", *lines]


class _EnoughError(Exception):
    """Everything up to now has come."""


def catch_up(pod: Pod, run: RunState) -> list[str]:
    """Return what happened to a run since this laptop last looked; its log stays on the pod."""
    notes = notes_of(pod, run.run_id)
    if not was_away(notes, run):
        return []
    shown: list[str] = []

    def stop(_: RunState) -> None:
        raise _EnoughError

    listener = CatchUp(notes, shown.extend).beside(Listener(on_state=stop))
    link = replace(Link(pod.agent, pod.reach), give_up_s=0.0)
    with (
        LogEnd(notes.folder, run.log_size) as journal,
        contextlib.suppress(_EnoughError, UnreachableError),
    ):
        follow(link, run.run_id, journal, listener, replay=True)
    return shown
