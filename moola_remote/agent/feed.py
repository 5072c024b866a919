"""A file that grows, read from an offset on; and what wakes its reader."""

from __future__ import annotations

import hashlib
import os
import select
import sys
from pathlib import Path
from typing import Callable, Optional, Set, Tuple

from moola_remote.agent.constants import BLOCK, FIRST_BLOCK
from moola_remote.agent.files import open_file
from moola_remote.agent.inotify import CREATE, MODIFY, MOVED_TO, add_watch, open_inotify
from moola_remote.agent.layout import Run
from moola_remote.agent.redaction import Mask


class FileTail:
    """One file, sent from an offset on.

    What the reader has of it is known by its generation, the file's identity, and after a slash by
    ``LENGTH:SHA256`` of its last bytes: a power cut there may have left others in their place.
    """

    def __init__(self, run: Run, name: str, offset: int, known: Optional[str]) -> None:
        self.name = name
        self.label = name.encode("ascii")
        self.path = {"log": run.log, "events": run.events}[name]
        self.mask = Mask.of(run)
        self.is_over = False
        self.offset = offset
        self.generation, _, self.tail = (known or "").partition("/")
        self.fd: Optional[int] = None
        self.is_at_end = True

    def pump(self) -> int:
        """Send what is new; how many bytes that was, a few megabytes at most a call."""
        if self.fd is None and not self.open():
            return 0
        assert self.fd is not None
        sent, size = 0, FIRST_BLOCK
        while sent < 16 * BLOCK:
            block, is_at_end = self.read(size)
            if block:
                send(f"D {self.name} {self.offset} {len(block)}\n".encode(), block)
                self.offset += len(block)
                sent += len(block)
            if is_at_end:
                self.is_at_end = True
                return sent or self.look_for_change()
            size = BLOCK
        self.is_at_end = False
        return sent

    def pump_line(self) -> int:
        """Send the little that is new, as a line that was just written: nothing else is done first.

        Returns:
            How many bytes that was; 0 where it is nothing, or for `pump` to send.
        """
        if self.fd is None or self.mask is not None:
            return 0
        block = os.pread(self.fd, FIRST_BLOCK, self.offset)
        size = len(block)
        if not 0 < size < FIRST_BLOCK:
            return 0
        send(b"D %b %d %d\n" % (self.label, self.offset, size), block)
        self.offset += size
        return size

    def read(self, size: int) -> Tuple[bytes, bool]:
        """Return the next bytes without secrets, and whether the file ends with them."""
        assert self.fd is not None
        if self.mask is None:
            block = os.pread(self.fd, size, self.offset)
            return block, len(block) < size
        start = max(0, self.offset - self.mask.reach)
        size += self.offset - start + self.mask.reach
        block = os.pread(self.fd, size, start)
        # The rest of a secret that has begun may be on its way.
        stop = len(block) - (0 if self.is_over else self.mask.begun(block))
        return self.mask.strike(block)[self.offset - start : stop], len(block) < size

    def open(self) -> bool:
        try:
            self.fd = open_file(self.path)
        except FileNotFoundError:
            return False
        found = os.fstat(self.fd)
        generation = f"{found.st_dev:x}-{found.st_ino:x}"
        if self.generation not in ("", generation):
            self.restart("replaced")
        elif self.offset > found.st_size:
            self.restart("truncated")
        elif self.tail and not self.has_sent(self.tail):
            self.restart("different")
        self.generation, self.tail = generation, ""
        send(f"S {self.name} {generation} {found.st_size}\n".encode())
        return True

    def has_sent(self, tail: str) -> bool:
        """Return whether what ends at the offset is ``LENGTH:SHA256``."""
        length, _, digest = tail.partition(":")
        stop = self.offset
        self.offset = max(0, stop - int(length))
        block, _ = self.read(stop - self.offset)
        self.offset = stop
        # Less can be shown of what may be the beginning of a secret.
        return len(block) < int(length) or hashlib.sha256(block).hexdigest() == digest

    def look_for_change(self) -> int:
        """At the end of what is there: is it still the same file?"""
        assert self.fd is not None
        try:
            at_path = self.path.stat()
        except FileNotFoundError:
            return 0
        if at_path.st_ino != os.fstat(self.fd).st_ino:
            os.close(self.fd)
            self.fd, self.is_at_end = None, False
            return 1
        if at_path.st_size < self.offset:
            self.restart("truncated")
            send(f"S {self.name} {self.generation} {at_path.st_size}\n".encode())
            return 1
        return 0

    def restart(self, why: str) -> None:
        send(f"R {self.name} {why}\n".encode())
        self.offset = 0


def send(head: bytes, payload: bytes = b"") -> None:
    """Write a frame to stdout, whole; a reader that is gone raises BrokenPipeError."""
    written = os.writev(1, (head, payload))  # as nearly always, all of it: nothing is joined
    if written < len(head) + len(payload):
        rest = memoryview(head + payload)[written:]
        while rest:
            rest = rest[os.write(1, rest) :]


class InotifyWatch:
    """Rings when a file in a folder changes: inotify, or a look every 50 ms where it is missing."""

    CHANGES = MODIFY | MOVED_TO | CREATE
    EVENT_HEAD = 16  # wd, mask, cookie, length of the name, which is filled up with NUL

    def __init__(self, folder: Path) -> None:
        self.fd: Optional[int] = None
        self.events = b""
        self.changed: Set[bytes] = set()  # names, where they are known
        fd = open_inotify()
        if fd is not None and add_watch(fd, folder, self.CHANGES) is not None:
            self.fd = fd
        self.poll = select.poll()
        for one in (0, self.fd):
            if one is not None:
                self.poll.register(one, select.POLLIN)

    def wait(self, seconds: float, *, first: Callable[[], object] = lambda: None) -> bool:
        """Until something changes, or the time is over; False when stdin has ended.

        What is to be done `first` is done before it is known what has changed.
        """
        if self.fd is None:
            seconds = min(seconds, 0.05)
        rung = dict(self.poll.poll(1000 * seconds))
        events = b""
        if self.fd is not None and self.fd in rung:
            first()
            events = os.read(self.fd, 1 << 12)
        if events != self.events:  # of a log that is written line by line they are the same
            self.events, self.changed = events, self.names(events)
        return 0 not in rung or os.read(0, 4096) != b""

    def names(self, events: bytes) -> Set[bytes]:
        found = set()
        while events:
            end = self.EVENT_HEAD + int.from_bytes(events[12:16], sys.byteorder)
            found.add(events[self.EVENT_HEAD : end].rstrip(b"\0"))
            events = events[end:]
        return found
