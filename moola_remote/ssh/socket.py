"""A socket that reads ahead, so that a packet is at hand when paramiko asks for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

READ_AHEAD = 1 << 16
# How many of the first bytes received are kept: a refusal may come as text, before any banner.
GREETING = 8192


class ReadAheadSocket:
    """A TCP connection that reads ahead, and remembers when the far side was last heard.

    paramiko asks for the head of a packet and for its rest: that is one system call here.

    Args:
        sock: a socket, or what has its methods, as a channel through a jump host.
        on_close: closes what the connection stands on, after it.

    Attributes:
        greeting: the first bytes that came.
        heard_at: when something came last, of the monotonic clock.
    """

    def __init__(self, sock: Any, on_close: Callable[[], object] | None = None) -> None:
        self._sock = sock
        self._on_close = on_close
        self.greeting = b""
        self._ahead = b""
        self._at = 0
        self.heard_at = time.monotonic()

    def recv(self, n: int) -> bytes:
        """As a socket's; for one thread."""
        if self._at == len(self._ahead):
            self._ahead, self._at = self._sock.recv(max(n, READ_AHEAD)), 0
            self.heard_at = time.monotonic()
            if len(self.greeting) < GREETING:
                self.greeting = (self.greeting + self._ahead)[:GREETING]
        data = self._ahead[self._at : self._at + n]
        self._at += len(data)
        return data

    def close(self) -> None:
        """Close it, then what it stands on; twice does no harm."""
        with contextlib.suppress(OSError, EOFError):  # a channel's says goodbye to what may be gone
            self._sock.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
