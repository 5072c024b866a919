"""``events.jsonl`` and ``result.json`` as the laptop reads them: typed, bounded, safe.

The contract is docs/protocol.md. What a job writes is not trusted, and may be newer or older than
this reader: unknown kinds and keys are passed over, missing ones have a default, text is cut and
made safe for a screen, and a line that is too long, too deep or of wrong types is refused as a
whole. A number may be NaN or infinite, since a diverging loss is what a reader must see; null reads
as NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeAlias

from msgspec import Meta, structs

from moola_remote.config.typed import json_of, read_json, typed
from moola_remote.protocol.types import (
    MAX_ENTRIES,
    Count,
    Name,
    Number,
    Numbers,
    Remote,
    Seed,
    Text,
    by_name,
    names_by_name,
)

MAX_EVENT_BYTES = 64 * 1024


class Event(Remote, frozen=True):
    """One line of ``events.jsonl``; `t` is the pod's clock, Unix seconds."""

    kind: ClassVar[str]
    t: Number = math.nan

    def to_json_line(self) -> bytes:
        """Return this event as a script may read it: strict JSON (NaN is null), on one line."""
        return json_of({"schema": 1, "kind": self.kind, **structs.asdict(self)})


if TYPE_CHECKING:
    _Windows: TypeAlias = dict[str, int | None]
    _Versions: TypeAlias = dict[str, str]
else:
    _Windows = by_name(Count | None)
    _Versions = names_by_name()


class RunEvent(Event, frozen=True):
    """What is trained, on what, on which data."""

    kind = "run"
    recipe: Name = ""
    device: Name = ""
    seed: Seed | None = None
    epochs: Count = 0
    num_parameters: Count | None = None
    num_features: Count | None = None
    windows: _Windows = {}
    tasks: Annotated[list[Name], Meta(max_length=MAX_ENTRIES)] = []
    versions: _Versions = {}


# What an epoch reports by name.
EPOCH_TABLES = ("train", "validation", "sigma", "share", "gradient_share", "scores")


class EpochEvent(Event, frozen=True, kw_only=True):
    """The end of one epoch.

    `train` and `validation` hold ``total`` and one raw loss a task, by the same formula; `scores`
    are on validation.
    """

    kind = "epoch"
    epoch: Count
    epochs: Count = 0
    seconds: Number = math.nan
    learning_rate: Number = math.nan
    train: Numbers = {}
    validation: Numbers = {}
    sigma: Numbers = {}
    share: Numbers = {}
    gradient_share: Numbers = {}
    scores: Numbers = {}


class CheckpointEvent(Event, frozen=True):
    """A checkpoint is complete; `path` is relative to the run's folder and for showing only."""

    kind = "checkpoint"
    epoch: Count = 0
    path: Text = ""
    best: bool = False


class Gpu(Remote, frozen=True):
    """One GPU at one time: per cent, bytes, degrees, watts; NaN where the pod doesn't know."""

    index: Count = 0
    use_percent: Number = math.nan
    memory_used: Number = math.nan
    memory_total: Number = math.nan
    temperature_c: Number = math.nan
    power_w: Number = math.nan


class TelemetryEvent(Event, frozen=True):
    """How busy the pod is: per cent and bytes; `idle` is the run's GPU, or the CPU without one."""

    kind = "telemetry"
    gpus: Annotated[list[Gpu], Meta(max_length=MAX_ENTRIES)] = []
    cpu_percent: Number = math.nan
    ram_used: Number = math.nan
    ram_total: Number = math.nan
    disk_free: Number = math.nan
    idle: bool | None = None


class NoteEvent(Event, frozen=True):
    """One line for the reader."""

    kind = "note"
    text: Text = ""


_KINDS: dict[str, type[Event]] = {
    model.kind: model
    for model in (RunEvent, EpochEvent, CheckpointEvent, TelemetryEvent, NoteEvent)
}


def parse_event(line: bytes) -> Event | None:
    """Read one line of ``events.jsonl``.

    Returns:
        The event, or None where its kind isn't known.

    Raises:
        ValueError: the line is no JSON object, too long, too deep, or a key has a wrong type.
    """
    if len(line) > MAX_EVENT_BYTES:
        raise ValueError(f"expected at most {MAX_EVENT_BYTES} bytes, got {len(line)}")
    table = read_json(line)
    if not isinstance(table, dict):
        raise ValueError(f"expected an object, got {type(table).__name__}")  # noqa: TRY004 - a datum
    kind = table.get("kind")
    model = _KINDS.get(kind) if isinstance(kind, str) else None
    return typed(model, table) if model else None


class EventReader:
    """Turns the bytes of ``events.jsonl``, in pieces of any size, into events.

    Attributes:
        num_refused: lines so far that were no event at all.
    """

    def __init__(self) -> None:
        self.num_refused = 0
        self._pending = b""
        self._is_skipping = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completed; unknown kinds are passed over."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        if lines and self._is_skipping:
            del lines[0]
            self._is_skipping = False
        if len(self._pending) > MAX_EVENT_BYTES:
            self.num_refused += not self._is_skipping
            self._pending, self._is_skipping = b"", True
        return [event for line in lines if line.strip() and (event := self._read(line))]

    def _read(self, line: bytes) -> Event | None:
        try:
            return parse_event(line)
        except ValueError:
            self.num_refused += 1
            return None
