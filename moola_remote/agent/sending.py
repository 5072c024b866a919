"""``send``: what small files of a run hold, one behind the other."""

from __future__ import annotations

import base64
import os
import stat

from moola_remote.agent.constants import BLOCK, Json
from moola_remote.agent.feed import send
from moola_remote.agent.files import readable
from moola_remote.agent.layout import Run

FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def send_files(run: Run, asked: Json) -> None:
    """Answer ``send``: each file that is asked for, in that order, as a line and what it holds."""
    os.chdir(run.path)  # with it a name could be longer than the system takes
    waiting = bytearray()
    for file in asked["files"]:
        name = base64.b64decode(file["raw"]) if "raw" in file else os.fsencode(file["path"])
        waiting += framed(name, file["size"])
        if len(waiting) >= BLOCK:
            send(bytes(waiting))
            waiting.clear()
    send(bytes(waiting))


def framed(name: bytes, size: int) -> bytes:
    """Return ``F``, the time of a file and what it holds; ``X`` where it has not this size."""
    try:
        fd = readable(name, lambda path: os.open(path, FLAGS))
    except OSError:
        return b"X\n"
    try:
        found = os.fstat(fd)
        content = os.read(fd, size + 1) if stat.S_ISREG(found.st_mode) else b""
    finally:
        os.close(fd)
    is_as_asked = stat.S_ISREG(found.st_mode) and len(content) == size
    return b"F %d\n%b" % (found.st_mtime_ns, content) if is_as_asked else b"X\n"
