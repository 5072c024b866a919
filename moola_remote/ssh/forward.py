"""A port of the pod's, reached at a port of this machine: ``ssh -L`` on our own connection."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any

from moola_remote.errors import ConfigError, UnreachableError

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
BLOCK = 1 << 15

# A channel to a host and port as the pod sees them, for the caller at a local address.
OpenChannel = Callable[[tuple[str, int], tuple[str, int]], Any]


@contextlib.contextmanager
def forwarding(
    open_channel: OpenChannel, target: tuple[str, int], *, port: int, say: Callable[[str], None]
) -> Iterator[int]:
    """Listen on loopback for as long as the context lasts; gives the port.

    Args:
        open_channel: of the connection to the pod.
        target: host and port, as the pod sees them.
        port: of this machine; 0 takes any that is free.
        say: called with a line, once, when nothing answers at `target`.

    Raises:
        ConfigError: the port is taken, or this user may not listen on it.
    """
    said: set[str] = set()

    def refused(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            _carry(self.request, self.client_address, open_channel, target, refused)

    try:
        server = _Server((LOOPBACK, port), Handler)
    except OSError as err:
        raise _not_here(port, err) from err
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True  # of connections that were cut the port keeps traces
    daemon_threads = True
    block_on_close = False


def _not_here(port: int, err: OSError) -> ConfigError:
    why = "is taken" if err.errno == errno.EADDRINUSE else (err.strerror or str(err)).lower()
    return ConfigError(
        f"port {port} of this machine: {why}", f"take another, for example {port + 1}:{port}"
    )


def _carry(
    caller: socket.socket,
    address: tuple[str, int],
    open_channel: OpenChannel,
    target: tuple[str, int],
    refused: Callable[[str], None],
) -> None:
    """Copy both ways until both have ended."""
    try:
        channel = open_channel(target, address)
    except UnreachableError as err:
        logger.info("port %d of the pod: %s", target[1], err)
        refused(
            f"nothing answers at {target[0]}:{target[1]} on the pod yet, or its server allows no "
            "forwarding"
        )
        return
    back = threading.Thread(target=_copy_back, args=(channel, caller), daemon=True)
    back.start()
    with contextlib.suppress(OSError, EOFError):
        while data := caller.recv(BLOCK):
            channel.sendall(data)
    with contextlib.suppress(OSError, EOFError):
        channel.shutdown_write()
    back.join()
    channel.close()


def _copy_back(channel: Any, caller: socket.socket) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := channel.recv(BLOCK):
            caller.sendall(data)
    with contextlib.suppress(OSError):
        caller.shutdown(socket.SHUT_WR)
