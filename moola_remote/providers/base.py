"""What every provider answers: where its pod is, how it stands, and how to make and end it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias

from moola_remote.ssh.endpoint import Endpoint

# Called with each line of progress.
Say: TypeAlias = Callable[[str], None]
# Asked a question; False where there is no terminal.
Confirm: TypeAlias = Callable[[str], bool]


def quiet(_: str) -> None:
    """Discard the message."""


def decline(_: str) -> bool:
    """Answer no: not interactive."""
    return False


@dataclass(frozen=True)
class PodStatus:
    """The state of a pod; ``foreign`` is an external one, which moola neither starts nor stops."""

    state: Literal["up", "stopped", "absent", "foreign"]
    detail: str
    endpoint: Endpoint | None = None
    started_at: float | None = None

    def __str__(self) -> str:
        return f"{self.state}: {self.detail}"


class Provider(Protocol):
    """What makes and ends one pod; every act can be repeated.

    Attributes:
        is_paid: `up` costs money, so only who asks for it gets it.
    """

    is_paid: ClassVar[bool]

    def up(self, *, say: Say = quiet, confirm: Confirm = decline) -> Endpoint:
        """Make or start the pod; when it is up already, only say where."""

    def endpoint(self) -> Endpoint:
        """Return where the pod is.

        Raises:
            UnreachableError: it is not up.
            ConfigError: its settings are wrong.
        """

    def stop(self) -> None:
        """Stop it; its files stay."""

    def down(self, *, remove_data: bool) -> None:
        """Stop it for good; whether its results were fetched is asked by the caller, before.

        Args:
            remove_data: also remove everything below its root.
        """

    def status(self) -> PodStatus:
        """Return the pod's state; changes nothing."""
