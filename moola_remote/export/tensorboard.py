"""Fetched runs as TensorBoard files."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import ConfigError
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
        cure = "pip install 'moola[tensorboard]'"
        raise ConfigError("tensorboard: expected the package tensorboardX", cure) from err

    aside, final = folder / f".{run.folder.name}.{os.getpid()}", folder / run.folder.name
    try:
        for side in ("train", "validation"):
            writer = EventFileWriter(str(aside / side))
            for event in run.view.epochs.values():
                values = [{"tag": k, "simple_value": v} for k, v in _scalars(event, side)]
                when = event.t if math.isfinite(event.t) else 0.0
                writer.add_event(Event(wall_time=when, step=event.epoch, summary={"value": values}))
            writer.close()
        shutil.rmtree(final, ignore_errors=True)
        aside.rename(final)
    except OSError as err:
        raise ConfigError(f"{safe(str(final))}: can't be written, {err.strerror}") from err
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return final


def _scalars(event: EpochEvent, side: str) -> Iterator[tuple[str, float]]:
    """Tags and values; what belongs to neither side is told with train."""
    yield from ((f"loss/{name}", value) for name, value in getattr(event, side).items())
    if side == "validation":
        yield from ((f"scores/{name}", value) for name, value in event.scores.items())
        return
    for group in ("sigma", "share", "gradient_share"):
        yield from ((f"{group}/{name}", value) for name, value in getattr(event, group).items())
    yield from (("pace/seconds", event.seconds), ("pace/learning_rate", event.learning_rate))
