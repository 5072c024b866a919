"""Small files of a run: one answer of the agent holds them all, one behind the other.

rsync compares and reports each file, at both ends, which costs ten times what a small one does.
What comes is hashed before it is written.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_remote.errors import TransferError, UnreachableError
from moola_remote.files.disk import is_full, unwritable
from moola_remote.results.staging import below, real_folder
from moola_remote.results.verify import is_as_declared
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.agent_client.client import Agent
    from moola_remote.protocol.manifest import ManifestFile
    from moola_remote.ssh.transport import Channel
logger = logging.getLogger(__name__)
# The most bytes of one: rsync goes on within a file that was cut off.
SMALL = 1 << 16
SILENCE_S = 60.0
BLOCK = 1 << 18
MAX_LINE = 1 << 16
MAX_TIME_NS = 1 << 63


def receive(
    agent: Agent,
    run_id: str,
    staging: Path,
    files: Sequence[ManifestFile],
    say: Callable[[int], None],
) -> set[str]:
    """Bring small files of a run to a folder.

    Args:
        agent: of the pod.
        run_id: whose they are.
        staging: where they come to; what an earlier fetch has left there is not asked for again.
        files: as the manifest has them.
        say: called with the bytes so far, each time that some have come.

    Returns:
        The names of those that are there as the manifest says.

    Raises:
        LimitError: this disk is full.
        TransferError: what comes is no answer of the agent.
        UnreachableError: the connection was lost, or nothing came for `SILENCE_S`.
    """
    left = {entry.path for entry in below(staging) if entry.is_file(follow_symlinks=False)}
    came = {
        file.name
        for file in files
        if (path := f"{staging}/{file.name}") in left and is_as_declared(path, file)
    }
    wanted = [file for file in files if file.name not in came]
    if not wanted:
        return came
    make_folder = functools.cache(functools.partial(real_folder, staging))
    channel = agent.open("send", run_id)
    try:
        asking = threading.Thread(target=_ask, args=(channel, _request(wanted)), daemon=True)
        asking.start()
        reader = _Reader(channel)
        done = said_at = 0
        for file in wanted:
            found = _next(reader, channel, agent, file)
            if (
                found
                and hashlib.sha256(found[0]).hexdigest() == file.sha256
                and _keep(staging, make_folder, file.name, *found)
            ):
                came.add(file.name)
            done += file.size
            if reader.num_blocks > said_at:
                said_at = reader.num_blocks
                say(done)
        say(done)
    finally:
        channel.close()
    return came


def _request(files: Sequence[ManifestFile]) -> bytes:
    rows: list[dict[str, Any]] = [{"path": one.path, "size": one.size} for one in files]
    for row, one in zip(rows, files, strict=True):
        if one.raw is not None:
            row["raw"] = one.raw
    return json.dumps({"files": rows}).encode()


def _ask(channel: Channel, request: bytes) -> None:
    with contextlib.suppress(UnreachableError):  # whoever reads the answer sees why
        channel.write(request)
        channel.close_stdin()


def _next(
    reader: _Reader, channel: Channel, agent: Agent, file: ManifestFile
) -> tuple[bytes, int] | None:
    """Return what the next file holds, and its time; None where the pod has not what it says."""
    line = reader.line()
    kind, _, time = line.partition(b" ")
    if kind == b"X":
        return None
    with contextlib.suppress(ValueError):
        if kind == b"F" and abs(modified_ns := int(time)) < MAX_TIME_NS:
            content = reader.take(file.size)
            if len(content) == file.size:
                return content, modified_ns
    if reader.has_ended:
        agent.read_answer(line, channel.returncode(SILENCE_S), channel.stderr(), "send")
    elif line.startswith(b"{"):
        agent.read_answer(line, 1, b"", "send")
    shown = safe(line[:60].decode("latin-1"))
    raise TransferError(f"agent send: expected a file, got: {shown or 'an empty line'}")


class _Reader:
    """Lines and lengths of what comes on a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._come = b""
        self._at = 0
        self.num_blocks = 0
        self.has_ended = False

    def line(self) -> bytes:
        """Return a line without its end; what there is where the stream ends before, or is none."""
        while (end := self._come.find(b"\n", self._at)) < 0:
            if len(self._come) - self._at > MAX_LINE or not self._more():
                return self._come[self._at :]
        line = self._come[self._at : end]
        self._at = end + 1
        return line

    def take(self, size: int) -> bytes:
        """Return so many bytes; fewer where the stream ends before."""
        while len(self._come) - self._at < size and self._more():
            pass
        found = self._come[self._at : self._at + size]
        self._at += len(found)
        return found

    def _more(self) -> bool:
        block = self._channel.read(BLOCK, SILENCE_S)
        self._come = self._come[self._at :] + block
        self._at = 0
        self.num_blocks += 1
        self.has_ended = not block
        return bool(block)


def _keep(
    top: Path, make_folder: Callable[[str], object], name: str, content: bytes, modified_ns: int
) -> bool:
    """Write a file below `top`; return whether this disk takes one of that name.

    Raises:
        LimitError: the disk is full.
    """
    try:
        make_folder(name.rpartition("/")[0])
        _write(f"{top}/{name}", content, modified_ns)
    except OSError as err:
        if is_full(err):
            raise unwritable(top, err) from err
        logger.info("%s: %s", name, err)
        return False
    return True


def _write(path: str, content: bytes, modified_ns: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.utime(fd, ns=(modified_ns, modified_ns))
    finally:
        os.close(fd)
