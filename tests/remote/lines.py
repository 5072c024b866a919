"""A TCP line to a server that a test can cut, or make fall silent; an address that may move."""

from __future__ import annotations

import contextlib
import select
import socket
import socketserver
import threading


class Line:
    """A TCP line to a server, which can be cut, or fall silent without a word.

    Attributes:
        silent_after: it falls silent by itself after so many bytes, both ways together.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._moved = 0
        self.silent_after: float = float("inf")
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
                if self._silent.is_set():
                    self._gone.wait()
                    break
                ready, _, _ = select.select([self._listener, *self._ends], [], [], 0.02)
                if not all(map(self._move, ready)):
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
        self._moved += len(data)
        if self._moved > self.silent_after:
            self.fall_silent()
        return bool(data)


class Address(socketserver.ThreadingTCPServer):
    """A port that leads to a server's, and may come to lead to another's.

    Attributes:
        target: the server's port; who connects from now on comes there.
        num_connections: how many have connected.
    """

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Visit)
        self.target = target
        self.num_connections = 0
        self.port: int = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Visit(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Address)
        self.server.num_connections += 1
        with socket.create_connection(("127.0.0.1", self.server.target)) as far:
            back = threading.Thread(target=_copy, args=(far, self.request))
            back.start()
            _copy(self.request, far)
            with contextlib.suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)
            back.join()


def _copy(source: socket.socket, dest: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            dest.sendall(data)
        dest.shutdown(socket.SHUT_WR)
