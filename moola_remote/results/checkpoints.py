"""Brings the checkpoints of a run home while it runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import TransferError, UnreachableError
from moola_remote.protocol.events import CheckpointEvent, Event
from moola_remote.results.fetch import fetch_checkpoints

if TYPE_CHECKING:
    from moola_remote.agent_client.client import Agent
logger = logging.getLogger(__name__)
# How often a job that reports no checkpoints is checked for some, with the pod's telemetry.
LOOK_S = 10.0
# A checkpoint may be removed by its run while it is on its way; not the same one time and again.
MAX_FAILED = 3


class Mirror:
    """Keeps ``results/<run id>/checkpoints`` at what the run has completed; what it drops stays.

    Args:
        reach: makes a connection with its agent; called again when one was lost.
        run_id: a whole run id.
        results: where fetched runs lie.
        say: called with each checkpoint that has come.
    """

    def __init__(
        self, reach: Callable[[], Agent], run_id: str, results: Path, say: Callable[[str], None]
    ) -> None:
        self.known: set[str] = set()
        self._reach = reach
        self._run_id = run_id
        self._results = results
        self._say = say
        self._agent: Agent | None = None
        self._next_look = 0.0
        self._num_failed = 0

    def on_event(self, event: Event) -> None:
        """Look when a checkpoint is announced, and now and then."""
        if isinstance(event, CheckpointEvent) or time.monotonic() >= self._next_look:
            self.look()

    def look(self) -> None:
        """Bring what is new; a lost connection is made again at the next look.

        Raises:
            TransferError: what came was not what the pod had declared, three times in a row.
            LimitError: it is more than may come, or than there is room for.
        """
        try:
            self._agent = self._agent or self._reach()
            transport = self._agent.transport
            came = fetch_checkpoints(
                transport, self._agent, self._run_id, self._results, known=self.known
            )
        except UnreachableError as err:
            logger.info("mirror: %s", err)
            self.close()
        except TransferError as err:
            logger.info("mirror: %s", err)
            self._num_failed += 1
            if self._num_failed >= MAX_FAILED:
                raise
        else:
            self._num_failed = 0
            self._take(came)
        self._next_look = time.monotonic() + LOOK_S

    def _take(self, came: list[str]) -> None:
        self.known.update(came)
        for folder in sorted({path.rpartition("/")[0] for path in came}):
            self._say(folder)

    def close(self) -> None:
        """Close the connection if there is one."""
        agent, self._agent = self._agent, None
        if agent is not None:
            agent.transport.close()
