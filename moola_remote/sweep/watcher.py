"""What a sweep reports while it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from moola_remote.sweep.trial import Trial


class Watcher(Protocol):
    """Callbacks of a running sweep; called from any thread, one call at a time."""

    def on_begin(self, trials: Sequence[Trial]) -> None:
        """Note runs that are known from before."""

    def on_trial(self, trial: Trial, what: str) -> None:
        """Report that a trial has started, ended, or starts again."""

    def on_step(self, trial: Trial, step: int, value: float) -> None:
        """Report the goal of a trial at the end of an epoch."""

    def on_note(self, text: str) -> None:
        """There is something else to say."""
