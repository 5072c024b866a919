"""A connection that is made again after an outage."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from moola_remote.errors import NoPythonError, PodGoneError, UnreachableError

if TYPE_CHECKING:
    from moola_remote.agent_client.client import Agent

Answer = TypeVar("Answer")
BACKOFF_S = (0.3, 0.6, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
# A pod may be out of reach for so long before it is given up.
PATIENCE_S = 600.0
MAX_HOPELESS = 3


class MuteAgentError(UnreachableError):
    """The agent ended without a word although the connection stands."""


class Patience(Protocol):
    """How long an outage is waited out, and how often the pod is tried; see `Link`."""

    @property
    def give_up_s(self) -> float | None:
        """Seconds of waiting; None is for ever. How long an attempt takes does not count."""

    @property
    def backoff_s(self) -> Sequence[float]:
        """Seconds between two attempts."""


class Outage:
    """A time in which the pod is not reached."""

    def __init__(self, patience: Patience) -> None:
        self._link = patience
        self._waited_s = 0.0
        self._num_hopeless = 0
        self.num_attempts = 0

    def add(self, err: UnreachableError) -> None:
        """One more attempt has failed.

        Raises:
            UnreachableError: `err`, when patience is over.
        """
        self.num_attempts += 1
        self._num_hopeless += isinstance(err, (MuteAgentError, NoPythonError, PodGoneError))
        give_up_s = self._link.give_up_s
        is_over = give_up_s is not None and self._waited_s >= give_up_s
        if is_over or self._num_hopeless >= MAX_HOPELESS:
            raise err

    def wait_s(self) -> float:
        """Return how long to wait now; at random, so that many clients don't come at once."""
        waits = self._link.backoff_s
        wait_s = waits[min(self.num_attempts, len(waits)) - 1] * random.uniform(0.5, 1.0)
        self._waited_s += wait_s
        return wait_s


@dataclass(frozen=True)
class Link:
    """How the pod is reached, and reached again.

    Attributes:
        agent: to begin with; its maker closes it.
        reconnect: makes a new connection with its agent, which is closed by `follow`.
        give_up_s: of `Patience`.
        backoff_s: waits between two attempts, each shortened by chance by up to a half.
    """

    agent: Agent
    reconnect: Callable[[], Agent]
    give_up_s: float | None = None
    backoff_s: Sequence[float] = BACKOFF_S


@dataclass(frozen=True)
class _Patience:
    """See `Patience`."""

    give_up_s: float | None
    backoff_s: Sequence[float] = BACKOFF_S


def persist(
    call: Callable[[], Answer], on_lost: Callable[[UnreachableError], None], patience_s: float
) -> Answer:
    """Repeat `call` over lost connections.

    Args:
        call: can be repeated.
        on_lost: called after each failure; may raise it.
        patience_s: of waiting, in all, before it is given up; anew after a long attempt.

    Raises:
        UnreachableError: the pod is gone, or was out of reach for too long.
    """
    outage = Outage(_Patience(patience_s))
    while True:
        began = time.monotonic()
        try:
            return call()
        except UnreachableError as err:
            if time.monotonic() - began > PATIENCE_S:  # it was reached meanwhile
                outage = Outage(_Patience(patience_s))
            outage.add(err)
            on_lost(err)
        time.sleep(outage.wait_s())
