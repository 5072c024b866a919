"""Fetched runs as TensorBoard files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import ConfigError, install_extra
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.protocol.events import EpochEvent
    from moola_remote.report.run_files import RunFiles


def write_tensorboard(run: RunFiles, folder: Path) -> Path:
    """Write a run's epochs into ``folder/RUN``, in place of what was there; returns that folder.

    Train and validation are two runs of TensorBoard, so that it draws both in one chart.

    Raises:
        ConfigError: tensorboardX is not installed, or it can't be written.
    """
    try:
        from tensorboardX.event_file_writer import EventFileWriter
        from tensorboardX.proto.event_pb2 import Event
    except ImportError as err:
        raise ConfigError(
            "tensorboard: expected the package tensorboardX", install_extra("tensorboard")
        ) from err

    final = folder / run.folder.name
    try:
        with atomic.replacing(final) as aside:
            for side in ("train", "validation"):
                writer = EventFileWriter(str(aside / side))
                for event in run.view.epochs.values():
                    values = [{"tag": k, "simple_value": v} for k, v in _scalars(event, side)]
                    when = event.t if math.isfinite(event.t) else 0.0
                    summary = {"value": values}
                    writer.add_event(Event(wall_time=when, step=event.epoch, summary=summary))
                writer.close()
    except OSError as err:
        raise unwritable(final, err, ConfigError, safe(str(final))) from err
    return final


def _scalars(event: EpochEvent, side: str) -> Iterator[tuple[str, float]]:
    """Tags and values; what belongs to neither side is logged with train."""
    yield from ((f"loss/{name}", value) for name, value in getattr(event, side).items())
    if side == "validation":
        yield from ((f"scores/{name}", value) for name, value in event.scores.items())
        return
    for group in ("sigma", "share", "gradient_share"):
        yield from ((f"{group}/{name}", value) for name, value in getattr(event, group).items())
    yield from (("pace/seconds", event.seconds), ("pace/learning_rate", event.learning_rate))
