"""SIGTERM as a request to stop."""

from __future__ import annotations

import signal
from types import FrameType

STOPPED = 143


class StopRequest:
    """SIGTERM: before and after training it ends the job, within it the loop asks."""

    def __init__(self) -> None:
        self.is_training = False
        self.is_requested = False
        signal.signal(signal.SIGTERM, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.is_requested = True
        if not self.is_training:
            raise SystemExit(STOPPED)
