"""Whether a connection still lives: a heartbeat, and the errors for one that does not."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Protocol

from moola_remote.errors import UnreachableError

if TYPE_CHECKING:
    import paramiko

    from moola_remote.ssh.socket import ReadAheadSocket

KEEPALIVE_S = 5.0
KEEPALIVE_MISSED = 3


class SilenceError(UnreachableError):
    """A deadline has passed."""


class Vitals(Protocol):
    """Whether a connection still lives, and the errors for one that does not."""

    def lost(self) -> UnreachableError:
        """Return the error for a connection that is gone."""
        ...

    def silence(self, timeout_s: float | None) -> SilenceError:
        """Return the error for a deadline that has passed."""
        ...

    def is_lost(self) -> bool:
        """Return whether the connection is gone."""
        ...


class Liveness:
    """The heartbeat of one connection: 15 s of silence close it.

    Args:
        where: the pod, as errors name it.
        ssh: the connection.
        sock: its socket, which knows when something was last received.
        alive: seconds between two heartbeats, and how many may be missed; None takes ours.
    """

    def __init__(
        self,
        where: str,
        ssh: paramiko.Transport,
        sock: ReadAheadSocket,
        alive: tuple[float, int] | None = None,
    ) -> None:
        self._every_s, self._missed = alive or (KEEPALIVE_S, KEEPALIVE_MISSED)
        self._where = where
        self._ssh = ssh
        self._sock = sock
        self._silent = False
        self._closed = threading.Event()
        threading.Thread(target=self._heartbeat, name="moola-heartbeat", daemon=True).start()

    def _heartbeat(self) -> None:
        # paramiko's own keepalive asks for no reply, so it never notices a dead peer.
        asker = None
        while not self._closed.wait(self._every_s) and self._ssh.is_active():
            if time.monotonic() - self._sock.heard_at > self._every_s * self._missed:
                self._silent = True
                self._ssh.close()
                return
            if asker is None or not asker.is_alive():
                asker = threading.Thread(target=self._ask, daemon=True)
                asker.start()

    def _ask(self) -> None:
        import paramiko

        # The connection may be lost while the request waits.
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
            self._ssh.global_request("keepalive@openssh.com")

    def lost(self) -> UnreachableError:
        """Return the error for a connection that is gone."""
        if self._silent:
            silence_s = self._every_s * self._missed
            return UnreachableError(f"{self._where}: given up, nothing heard for {silence_s:.0f} s")
        return UnreachableError(f"{self._where}: connection lost")

    def silence(self, timeout_s: float | None) -> SilenceError:
        """Return the error for a deadline that has passed."""
        return SilenceError(f"{self._where}: no answer within {timeout_s or 0:.0f} s")

    def is_lost(self) -> bool:
        """Return whether the connection is gone."""
        # When paramiko's thread closes the channels, it has not marked itself as ended yet.
        self._ssh.join(0.2)
        return not self._ssh.is_active()

    def stop(self) -> None:
        """End the heartbeat."""
        self._closed.set()
