"""A slow line to a server on this machine: 30 ms each way, 100 Mbit/s, as a program of its own.

    python -m tests.support.slow_line PORT

prints the port on which it listens, and ends with its stdin. For kernels without ``sch_netem``; it
loses nothing and knows no slow start, so a real line of these numbers is a little slower.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

DELAY_S = 0.030
BYTES_PER_S = 100e6 / 8
# What is on the way and in the queues of routers: then whoever sends has to wait.
MAX_PIECES = 64
PIECE = 1 << 14


@contextlib.contextmanager
def slow_line(port: int) -> Iterator[int]:
    """The port of a slow line to `port`."""
    argv = [sys.executable, "-m", "tests.support.slow_line", str(port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as line:
        assert line.stdin
        assert line.stdout
        try:
            yield int(line.stdout.readline())
        finally:
            line.stdin.close()


async def serve(target: int) -> None:
    """Carry connections until stdin ends."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A real connection stands after one time to and fro, and its server hears of it then.
        begun = time.monotonic()
        await asyncio.sleep(3 * DELAY_S)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        ways = (way(reader, far_writer, begun + 2 * DELAY_S), way(far_reader, writer, begun))
        await asyncio.gather(*ways)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # what is still on the way is dropped


async def way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, free_at: float) -> None:
    """One direction; the line is free for its first byte at `free_at`."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_PIECES)
    delivering = asyncio.create_task(deliver(pieces, writer))
    with contextlib.suppress(OSError):
        while data := await reader.read(PIECE):
            free_at = max(free_at, time.monotonic()) + len(data) / BYTES_PER_S
            await pieces.put((free_at + DELAY_S, data))
    await pieces.put((0.0, b""))
    await delivering


async def deliver(pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    """Each piece when it is due, then the end."""
    while True:
        due, data = await pieces.get()
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        with contextlib.suppress(OSError):
            if not data:
                writer.close()
                return
            writer.write(data)
            await writer.drain()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
