"""A socket that reads ahead, so that a packet is at hand when paramiko asks for it."""

from __future__ import annotations

import socket
import time
from typing import Any

READ_AHEAD = 1 << 16


class ReadAheadSocket:
    """A TCP connection that reads ahead, and remembers when the far side was last heard.

    paramiko asks for the head of a packet and for its rest: that is one system call here.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._ahead = b""
        self._at = 0
        self.heard_at = time.monotonic()

    def recv(self, n: int) -> bytes:
        """As a socket's; for one thread."""
        if self._at == len(self._ahead):
            self._ahead, self._at = self._sock.recv(max(n, READ_AHEAD)), 0
            self.heard_at = time.monotonic()
        data = self._ahead[self._at : self._at + n]
        self._at += len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
