"""A TCP line to a server that a test can lead elsewhere, cut, reset or silence, and measure."""

from __future__ import annotations

import contextlib
import dataclasses
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport

TICK_S = 0.02


class Line:
    """A TCP line to a server, which can be cut, be reset, or fall silent without a word.

    Attributes:
        target: the server's port; who connects from now on comes there.
        silent_after: it falls silent by itself after so many bytes, both ways together.
        resets: each new connection is reset after the next number of bytes from the server.
        num_resets: how many were.
        num_connections: how many have connected.
        num_moved: bytes that went through, both ways together.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._others: dict[socket.socket, socket.socket] = {}
        self._budgets: dict[socket.socket, float] = {}  # of the server's end
        self.silent_after: float = float("inf")
        self.resets: Iterator[float] = iter(())
        self.num_resets = self.num_connections = self.num_moved = 0
        self._silent = threading.Event()
        self._gone = threading.Event()
        self._dropping = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def fall_silent(self) -> None:
        self._silent.set()

    def speak(self) -> None:
        """Carry on, with what has piled up meanwhile."""
        self._silent.clear()

    def drop(self) -> None:
        """Reset every connection that there is now."""
        self._dropping.set()

    def cut(self) -> None:
        self._gone.set()
        self._thread.join()

    def _run(self) -> None:
        with self._listener:
            while not self._gone.is_set():
                if self._silent.is_set():
                    self._gone.wait(TICK_S)
                    continue
                if self._dropping.is_set():
                    self._dropping.clear()
                    self.num_resets += len(self._others) // 2
                    self._reset(*self._others)
                ready, _, _ = select.select([self._listener, *self._others], [], [], TICK_S)
                for end in ready:
                    if end is self._listener:
                        self._accept()
                    elif end in self._others:  # it may have gone with another that was ready
                        self._move(end)
        for end in list(self._others):
            end.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        self.num_connections += 1
        try:
            far = socket.create_connection(("127.0.0.1", self.target))
        except OSError:  # nobody serves there now
            near.close()
            return
        self._others.update({near: far, far: near})
        self._budgets[far] = next(self.resets, float("inf"))

    def _move(self, ready: socket.socket) -> None:
        other = self._others[ready]
        try:
            data = ready.recv(1 << 16)
            left = self._budgets.get(ready, float("inf"))
            other.sendall(data[: int(min(left, len(data)))])
        except OSError:
            data, left = b"", float("inf")
        if not data:
            self._close(ready, other)
        elif len(data) >= left:
            self.num_resets += 1
            self._reset(ready, other)
        elif ready in self._budgets:
            self._budgets[ready] -= len(data)
        self.num_moved += len(data)
        if self.num_moved > self.silent_after:
            self.fall_silent()

    def _reset(self, *ends: socket.socket) -> None:
        for end in ends:  # with no time to linger, closing sends RST
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._close(*ends)

    def _close(self, *ends: socket.socket) -> None:
        for end in ends:
            self._others.pop(end, None)
            self._budgets.pop(end, None)
            end.close()


def connect_over(line: Line, server: Endpoint, folder: Path) -> Transport:
    """A connection to `server` over a line that can be cut."""
    endpoint = dataclasses.replace(server, port=line.port)
    return connect(endpoint, known_hosts=folder / "known_hosts")
