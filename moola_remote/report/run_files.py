"""What a fetched run's folder says, read with limits: whatever can't be read becomes a note.

Nothing but the folder is looked at: no pod, no data, no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, TypeVar

from msgspec import Meta

from moola_remote.config.flatten import flat_config
from moola_remote.config.paths import RunPaths
from moola_remote.errors import ConfigError
from moola_remote.follow.view import MAX_EPOCHS, RunView
from moola_remote.protocol.events import EventReader, TelemetryEvent
from moola_remote.protocol.result import Result, load, load_result
from moola_remote.protocol.spec import Spec
from moola_remote.protocol.state import RunState
from moola_remote.protocol.types import Name, Remote, read_small
from moola_remote.report.predictions import MAX_TYPES, Window, read_windows
from moola_remote.text.sanitize import safe

MAX_TELEMETRY = 200_000
SIDES = ("validation", "test")
_Value = TypeVar("_Value")


class ModelFile(Remote, frozen=True):
    """``artifacts/model.json``: what the indices of types mean."""

    types: Annotated[list[Name], Meta(max_length=MAX_TYPES)] = []


@dataclass
class RunFiles:
    """One fetched run.

    Attributes:
        view: its events, as the dashboard would show them.
        config: ``config.yaml``, a dotted key a value.
        notes: what of it could not be read.
    """

    folder: Path
    view: RunView
    result: Result | None = None
    state: RunState | None = None
    spec: Spec | None = None
    types: list[str] = field(default_factory=list)
    config: dict[str, str] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    telemetry: list[TelemetryEvent] = field(default_factory=list)
    training_began: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        """The run's name, safe to show."""
        return self.view.run_id

    @property
    def sides(self) -> list[str]:
        """The splits that were judged, in the order of a scoreboard."""
        known = {window.side for window in self.windows}
        return [side for side in SIDES if side in known]

    @property
    def judged_side(self) -> str:
        """The split that the rules were scored on: test where there is one."""
        return "test" if self.result and self.result.scores.test else "validation"

    @property
    def num_types(self) -> int:
        """How many types there are, named or not."""
        said = (len(window.type_probs or ()) for window in self.windows)
        true = (window.true_type + 1 for window in self.windows if window.true_type is not None)
        several = (max(pair) + 1 for window in self.windows for pair in window.typed)
        return max(len(self.types), *said, *true, *several, 0)

    @property
    def num_models(self) -> int:
        """How many models of an ensemble were to be trained; their epochs count on."""
        epochs = self.config.get("training.epochs", "")
        is_known = epochs.isdecimal() and len(epochs) < 10 and int(epochs) > 0
        return max(self.view.num_epochs // int(epochs), 1) if is_known else 1

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the lowest loss on validation; of several models none is."""
        return self.view.best_epoch if self.num_models == 1 else None

    def of_side(self, side: str) -> list[Window]:
        """Return the windows of one split."""
        return [window for window in self.windows if window.side == side]


def read_run(folder: Path, *, is_brief: bool = False) -> RunFiles:
    """Everything that the folder of one fetched run holds.

    Args:
        folder: its own.
        is_brief: leave its windows, events and types out, and its recipe where the result names
            it, for a list of many runs.

    Raises:
        ConfigError: it holds nothing of a run.
    """
    names = RunPaths(PurePosixPath())
    if not any((folder / name).is_file() for name in (names.spec, names.events, names.result)):
        raise ConfigError(
            f"{safe(str(folder))}: expected a fetched run, found none of its files",
            "moola-remote fetch results",
        )
    run = RunFiles(folder, RunView(pod="", run_id=folder.name))
    run.result = _read(run, names.result, load_result)
    run.spec = _read(run, names.spec, partial(load, model=Spec))
    run.state = _read(run, names.state, partial(load, model=RunState))
    if not is_brief or run.result is None:
        run.config = _read(run, PurePosixPath("config.yaml"), _read_config) or {}
    if is_brief:
        return run
    model = _read(run, names.artifacts / "model.json", partial(load, model=ModelFile))
    run.types = model.types if model else []
    run.windows = _read(run, names.artifacts / "predictions.parquet", read_windows) or []
    _read(run, names.events, lambda path: _read_events(run, path))
    return run


def _read(run: RunFiles, name: PurePosixPath, read: Callable[[Path], _Value]) -> _Value | None:
    """Return what `read` makes of a file of the run; None if it is missing, or broken (noted).

    A link may lead anywhere, so it counts as missing.
    """
    path = run.folder / name
    if path.is_symlink() or not path.is_file():
        return None
    try:
        return read(path)
    except ConfigError as err:
        run.notes.append(f"not shown, {err.message.replace(f'{safe(str(run.folder))}/', '')}")
        return None


def _read_config(path: Path) -> dict[str, str]:
    try:
        return flat_config(read_small(path))
    except ValueError as err:
        raise ConfigError(f"{safe(str(path))}: {err}") from err


def _read_events(run: RunFiles, path: Path) -> None:
    reader = EventReader()
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                for event in reader.feed(part):
                    run.view.take_event(event)
                    if event.kind == "run" and run.training_began is None:
                        run.training_began = event.t
                    if isinstance(event, TelemetryEvent) and len(run.telemetry) < MAX_TELEMETRY:
                        run.telemetry.append(event)
    except OSError as err:
        raise ConfigError(f"{safe(str(path))}: can't be read, {err.strerror}") from err
    if len(run.view.epochs) == MAX_EPOCHS:
        run.notes.append(f"events.jsonl: of its epochs the last {MAX_EPOCHS} are read")
    if reader.num_refused:
        run.notes.append(f"events.jsonl: {reader.num_refused} lines are no events")
