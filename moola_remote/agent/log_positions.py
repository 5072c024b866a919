"""``locate``: the offset of the last lines of a log, or of a time."""

from __future__ import annotations

import contextlib
import os
from typing import BinaryIO, Optional

from moola_remote.agent.constants import BLOCK, Json
from moola_remote.agent.files import open_file
from moola_remote.agent.layout import Run


def locate(run: Run, tail: Optional[int], since: Optional[float]) -> Json:
    """Return where the last `tail` lines begin, or what was written from the time `since` on.

    No line is left out; by time there may be some more, as the sizes are noted once a second.
    """
    with os.fdopen(open_file(run.log), "rb") as log:
        size = os.fstat(log.fileno()).st_size
        offset = 0 if since is None else start_of_lines(log, size_at(run, since, size), 0)
        if tail is not None:
            offset = max(offset, start_of_lines(log, size, tail))
    return {"offset": offset, "size": size}


def size_at(run: Run, moment: float, size: int) -> int:
    """Return how long the log was at a time, at least so long."""
    before = 0
    with contextlib.suppress(OSError, ValueError), os.fdopen(open_file(run.times), "rb") as times:
        for line in times:
            when, _, then = line.partition(b" ")
            if float(when) > moment:
                break
            before = int(then)
    return min(before, size)


def start_of_lines(log: BinaryIO, stop: int, count: int) -> int:
    """Return where the `count` lines before `stop` begin; with 0, the line that `stop` is in.

    A last line without its end counts as one.
    """
    if count == 0 or (stop and os.pread(log.fileno(), 1, stop - 1) == b"\n"):
        count += 1
    while stop > 0:
        start = max(0, stop - BLOCK)
        block = os.pread(log.fileno(), stop - start, start)
        end = block.rfind(b"\n")
        while end >= 0:
            count -= 1
            if count == 0:
                return start + end + 1
            end = block.rfind(b"\n", 0, end)
        stop = start
    return 0
