"""A TCP line to a server that a test can cut, or make fall silent."""

from __future__ import annotations

import contextlib
import select
import socket
import threading


class Line:
    """A TCP line to a server, which can be cut, or fall silent without a word."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._silent = threading.Event()
        self._gone = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def fall_silent(self) -> None:
        self._silent.set()

    def cut(self) -> None:
        self._gone.set()
        self._thread.join()

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._listener)
            while not self._gone.is_set():
                ready, _, _ = select.select([self._listener, *self._ends], [], [], 0.02)
                if not self._silent.is_set() and not all(map(self._move, ready)):
                    break
            for end in self._ends:
                end.close()

    def _move(self, ready: socket.socket) -> bool:
        if ready is self._listener:
            near, _ = self._listener.accept()
            far = socket.create_connection(("127.0.0.1", self._target))
            self._ends += [near, far]
            return True
        other = self._ends[self._ends.index(ready) ^ 1]
        try:
            data = ready.recv(1 << 16)
            other.sendall(data)
        except OSError:
            return False
        return bool(data)
