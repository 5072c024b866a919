"""state.json: the state of a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from moola_remote.config.typed import read_by
from moola_remote.protocol.types import Count, Name, Remote, Text, as_text, read_answer_as

State: TypeAlias = Literal[
    "QUEUED", "PREPARING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST"
]
ENDED: frozenset[State] = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST"})
MAX_LAST_LINES = 25
# It becomes the name of a folder here, too.
RUN_ID = r"^[a-z0-9][a-z0-9-]{0,63}\Z"
RunId: TypeAlias = Annotated[str, Meta(pattern=RUN_ID)]


def _ending(lines: Any) -> list[str]:
    return [as_text(line) for line in lines[-MAX_LAST_LINES:]] if isinstance(lines, list) else []


if TYPE_CHECKING:
    LastLines: TypeAlias = list[str]
else:
    LastLines = read_by(_ending, list)


class RunState(Remote, frozen=True):
    """The state of a run, as the pod reports it; the times are the pod's clock, Unix seconds."""

    run_id: RunId
    state: State
    reason: Text | None = None
    returncode: Annotated[int, Meta(ge=-(2**31), lt=2**32)] | None = None
    signal: Name | None = None
    oom_killed: bool = False
    queued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    heartbeat_at: float | None = None
    gpu: Count | None = None
    last_lines: LastLines = []
    log_size: Count = 0
    events_size: Count = 0
    manifest_sha256: Text | None = None
    queue_position: Count | None = None
    stopping: Text | None = None
    price_per_hour: float | None = None
    idle_share: Annotated[float, Meta(ge=0, le=1)] | None = None
    on_finish: int | None = None
    command: Text | None = None
    now: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether this is the run's last state."""
        return self.state in ENDED

    @property
    def trouble(self) -> str | None:
        """Why nothing is recorded of a run that goes on, such as a full disk."""
        return None if self.has_ended else self.reason

    @property
    def took_s(self) -> float | None:
        """Seconds from the job's start to its end, or to now."""
        end = self.now if self.ended_at is None else self.ended_at
        if self.started_at is None or end is None or not math.isfinite(end - self.started_at):
            return None
        return max(end - self.started_at, 0.0)

    @property
    def idle(self) -> str:
        """How much of the time nothing was done, and what that cost: ``8% $0.02``; or empty."""
        words = "" if self.idle_share is None else f"{self.idle_share:.0%}"
        if words in ("", "0%"):
            return ""
        if self.price_per_hour and self.took_s is not None and self.idle_share:
            words += f" ${self.idle_share * self.took_s / 3600 * self.price_per_hour:.2f}"
        return words


def read_state(value: Any) -> RunState:
    """Return a state as the agent sends it.

    Raises:
        TransferError: it is none.
    """
    return read_answer_as(RunState, value, "state")
