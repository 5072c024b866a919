"""The frames of the stream, as docs/protocol.md has them: parsed as they come, bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from moola_remote.errors import TransferError
from moola_remote.protocol.refusal import refusal
from moola_remote.text.sanitize import safe

FileName: TypeAlias = Literal["log", "events"]
FILES: tuple[FileName, FileName] = ("log", "events")
_FILES: dict[bytes, FileName] = {file.encode(): file for file in FILES}
MAX_HEADER = 1 << 16
MAX_PAYLOAD = 1 << 20
MAX_OFFSET = 1 << 62


class Opened(Struct, frozen=True, gc=False):
    """``S``: which file this is, and its size now."""

    file: FileName
    generation: str
    size: int


class Data(Struct, frozen=True, gc=False):
    """``D``, or a part of it: bytes of a file from an offset."""

    file: FileName
    offset: int
    data: bytes


class Restarted(Struct, frozen=True, gc=False):
    """``R``: what was sent of this file is no longer its beginning."""

    file: FileName
    why: str


class Heartbeat(Struct, frozen=True, gc=False):
    """``H``: nothing new."""


class StateFrame(Struct, frozen=True):
    """``P`` and ``E``: how the run stands; `is_last` when every byte was sent."""

    state: dict[str, Any]
    is_last: bool


Frame: TypeAlias = Opened | Data | Restarted | Heartbeat | StateFrame


class FrameParser:
    """Turns the bytes of the stream, in pieces of any size, into frames.

    A long ``D`` is handed on in parts as it comes, so that memory is bounded by the piece.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._data: tuple[FileName, int, int] = ("log", 0, 0)  # file, offset, bytes to come

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the frames, or parts of data, that `piece` completed.

        A line of a log comes after a sleep, and then each further function costs as much as ten
        when it is warm: ``D`` is read here.

        Raises:
            TransferError: this is no frame.
            MoolaError: the agent refuses instead of streaming.
        """
        buffer, at = self._pending + piece, 0
        file, offset, left = self._data
        while at < len(buffer):
            if not left:
                end = buffer.find(b"\n", at)
                if end < 0:
                    if len(buffer) - at > MAX_HEADER:
                        raise _malformed(buffer[at:])
                    break
                words = buffer[at:end].split(b" ")
                if words[0] != b"D":
                    frame, stop = _other_frame(buffer, at, end)
                    if frame is None:
                        break
                    yield frame
                    at = stop
                    continue
                try:
                    file, offset, left = _FILES[words[1]], int(words[2]), int(words[3])
                except (ValueError, LookupError) as err:
                    raise _malformed(buffer[at:end]) from err
                if not (0 <= offset <= MAX_OFFSET and 0 <= left <= MAX_OFFSET):
                    raise _malformed(buffer[at:end])
                at = end + 1
            data = buffer[at : at + left]
            if data:
                yield Data(file, offset, data)
            at, offset, left = at + len(data), offset + len(data), left - len(data)
        self._data = file, offset, left
        self._pending = buffer[at:]


def _other_frame(buffer: bytes, start: int, end: int) -> tuple[Frame | None, int]:
    """Return a frame without data whose header is ``buffer[start:end]``, and where it stops.

    None where a part of its payload is still to come.
    """
    header, stop = buffer[start:end], end + 1
    if header.startswith(b"{"):
        raise refusal(_object(header))
    try:
        kind, *words = header.decode("ascii").split(" ")
        if kind in ("P", "E"):
            stop += _number(words[0], MAX_PAYLOAD)
            if stop > len(buffer):
                return None, start
            return StateFrame(_object(buffer[end + 1 : stop]), kind == "E"), stop
        if kind == "S":
            return Opened(_file(words[0]), words[1], _number(words[2], MAX_OFFSET)), stop
        if kind == "R":
            return Restarted(_file(words[0]), safe(" ".join(words[1:]), 100)), stop
        if kind == "H":
            return Heartbeat(), stop
    except (ValueError, IndexError) as err:
        raise _malformed(header) from err
    raise _malformed(header)


def _file(word: str) -> FileName:
    for name in FILES:
        if word == name:
            return name
    raise ValueError(word)


def _number(word: str, limit: int) -> int:
    value = int(word)
    if not 0 <= value <= limit:
        raise ValueError(word)
    return value


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise _malformed(text) from err
    if not isinstance(value, dict):
        raise _malformed(text)
    return value


def _malformed(text: bytes) -> TransferError:
    shown = safe(text[:60].decode("utf-8", "replace"))
    return TransferError(f"stream: expected a frame of the agent, got {shown!r}")
