"""What is known of one run while it is followed, and what follows from it: time, money, idleness.

No terminal here: panels.py draws a `RunView`, dashboard.py feeds it.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass, field

from moola_remote.protocol.events import (
    CheckpointEvent,
    EpochEvent,
    Event,
    NoteEvent,
    RunEvent,
    TelemetryEvent,
)
from moola_remote.protocol.state import RunState
from moola_remote.text.sanitize import Screen, safe

MAX_EPOCHS = 5000  # that are kept; of a longer run the oldest are forgotten
KEPT_LINES = 200


@dataclass
class RunView:
    """One run as its follower knows it.

    Args:
        pod: the pod's name.
        run_id: the run's name.
        gpu: what it runs on, such as ``RTX 4090 24 GiB``.
        price_per_hour: dollars, or None where it costs nothing.
    """

    pod: str
    run_id: str
    gpu: str = ""
    price_per_hour: float | None = None

    link: str = ""
    away: list[str] = field(default_factory=list)
    state: RunState | None = None
    run: RunEvent | None = None
    epochs: dict[int, EpochEvent] = field(default_factory=dict)
    checkpoint: int | None = None
    telemetry: TelemetryEvent | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    log: Screen = field(default_factory=Screen)
    _skew_s: float = 0.0
    _num_samples: int = 0
    _num_idle: int = 0

    def __post_init__(self) -> None:
        self.pod, self.run_id, self.gpu = (
            safe(self.pod, 40),
            safe(self.run_id, 64),
            safe(self.gpu, 60),
        )

    def take_log(self, data: bytes) -> list[str]:
        """Add bytes of the log; returns the lines that they completed."""
        lines = self.log.feed(data)
        self.lines.extend(lines[-KEPT_LINES:])
        return lines

    def take_event(self, event: Event) -> None:
        """Add one event."""
        if isinstance(event, RunEvent):
            self.run = event
        elif isinstance(event, EpochEvent):
            self._take_epoch(event)
        elif isinstance(event, TelemetryEvent):
            self.telemetry = event
            self._num_samples += event.idle is not None
            self._num_idle += bool(event.idle)
        elif isinstance(event, NoteEvent):
            self.lines.append(f"note: {event.text}")
        elif isinstance(event, CheckpointEvent):
            self.checkpoint = event.epoch

    def take_state(self, state: RunState, now: float) -> None:
        """Add what the pod says of the run; `now` is the laptop's clock."""
        self.state = state
        if state.now is not None and math.isfinite(state.now):
            self._skew_s = state.now - now

    def _take_epoch(self, event: EpochEvent) -> None:
        is_next = not self.epochs or event.epoch > next(reversed(self.epochs))
        self.epochs[event.epoch] = event
        if not is_next:  # a resumed run repeats epochs: what came last counts
            self.epochs = {
                key: self.epochs[key] for key in sorted(self.epochs) if key <= event.epoch
            }
        if len(self.epochs) > MAX_EPOCHS:
            del self.epochs[next(iter(self.epochs))]

    @property
    def state_name(self) -> str:
        """``RUNNING``, ``QUEUED`` and so on; ``STARTING`` before the pod has said anything."""
        return self.state.state if self.state else "STARTING"

    @property
    def last_epoch(self) -> EpochEvent | None:
        """The newest epoch."""
        return self.epochs[next(reversed(self.epochs))] if self.epochs else None

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the lowest validation total."""
        totals = {
            key: event.validation.get("total", math.nan) for key, event in self.epochs.items()
        }
        finite = {key: total for key, total in totals.items() if math.isfinite(total)}
        return min(finite, key=finite.__getitem__) if finite else None

    @property
    def num_epochs(self) -> int:
        """How many epochs there will be; 0 where it isn't known."""
        return (self.last_epoch and self.last_epoch.epochs) or (self.run and self.run.epochs) or 0

    @property
    def tasks(self) -> list[str]:
        """The tasks' names, in the job's order."""
        if self.run and self.run.tasks:
            return self.run.tasks
        last = self.last_epoch
        losses = (last.validation or last.train) if last else ()
        return [name for name in losses if name != "total"]

    def elapsed_s(self, now: float) -> float | None:
        """Seconds since the job started, on the pod's clock; to its end where it has ended."""
        if self.state is None or self.state.started_at is None:
            return None
        ended = self.state.ended_at
        seconds = (now + self._skew_s if ended is None else ended) - self.state.started_at
        return max(seconds, 0.0) if math.isfinite(seconds) else None

    def spent_usd(self, now: float) -> float | None:
        """Return what the run has cost so far."""
        return self._cost(self.elapsed_s(now))

    def left_s(self, now: float) -> float | None:
        """Seconds to the last epoch's end, from the median of the last five epochs."""
        last = self.last_epoch
        if last is None or (self.state and self.state.has_ended) or not self.num_epochs:
            return None
        recent = [event.seconds for event in list(self.epochs.values())[-5:]]
        recent = [seconds for seconds in recent if math.isfinite(seconds)]
        if not recent:
            return None
        pace = statistics.median(recent)
        since = now + self._skew_s - last.t if math.isfinite(last.t) else 0.0
        return max((self.num_epochs - last.epoch) * pace - min(max(since, 0.0), pace), 0.0)

    def left_usd(self, now: float) -> float | None:
        """Return what the rest of the run will cost."""
        return self._cost(self.left_s(now))

    @property
    def idle_share(self) -> float | None:
        """The share of samples in which its GPU, or the CPU of a pod without one, did nothing."""
        return self._num_idle / self._num_samples if self._num_samples else None

    def _cost(self, seconds: float | None) -> float | None:
        if seconds is None or not self.price_per_hour:
            return None
        return seconds / 3600 * self.price_per_hour
