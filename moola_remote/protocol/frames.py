"""The frames of the stream, as docs/protocol.md has them: parsed as they come, bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from moola_remote.errors import TransferError
from moola_remote.protocol.refusal import refusal
from moola_remote.text.sanitize import safe

FileName: TypeAlias = Literal["log", "events"]
FILES: tuple[FileName, FileName] = ("log", "events")
MAX_HEADER = 1 << 16
MAX_PAYLOAD = 1 << 20
MAX_OFFSET = 1 << 62


@dataclass(frozen=True)
class Opened:
    """``S``: which file this is, and its size now."""

    file: FileName
    generation: str
    size: int


@dataclass(frozen=True)
class Data:
    """``D``, or a part of it: bytes of a file from an offset."""

    file: FileName
    offset: int
    data: bytes


@dataclass(frozen=True)
class Restarted:
    """``R``: what was sent of this file is no longer its beginning."""

    file: FileName
    why: str


@dataclass(frozen=True)
class Heartbeat:
    """``H``: nothing new."""


@dataclass(frozen=True)
class StateFrame:
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
        self._data: tuple[FileName, int, int] | None = None  # file, offset, bytes to come
        self._payload: tuple[bool, int] | None = None  # is_last, bytes to come

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the frames, or parts of data, that `piece` completed.

        Raises:
            TransferError: this is no frame.
            MoolaError: the agent refuses instead of streaming.
        """
        buffer, at = self._pending + piece, 0
        while at < len(buffer):
            if self._data is not None:
                frame, at = self._take_data(buffer, at)
                yield frame
                continue
            if self._payload is not None:
                is_last, size = self._payload
                if len(buffer) - at < size:
                    break
                yield StateFrame(_object(buffer[at : at + size]), is_last)
                self._payload, at = None, at + size
                continue
            end = buffer.find(b"\n", at)
            if end < 0:
                if len(buffer) - at > MAX_HEADER:
                    raise _malformed(buffer[at:])
                break
            header = self._take_header(buffer[at:end])
            at = end + 1
            if header is not None:
                yield header
        self._pending = buffer[at:]

    def _take_data(self, buffer: bytes, at: int) -> tuple[Data, int]:
        assert self._data is not None
        file, offset, size = self._data
        data = buffer[at : at + size]
        left = size - len(data)
        self._data = (file, offset + len(data), left) if left else None
        return Data(file, offset, data), at + len(data)

    def _take_header(self, header: bytes) -> Frame | None:
        if header.startswith(b"{"):
            raise refusal(_object(header))
        try:
            kind, *words = header.decode("ascii").split(" ")
            if kind == "D":
                offset, size = _number(words[1], MAX_OFFSET), _number(words[2], MAX_OFFSET)
                self._data = (_file(words[0]), offset, size) if size else None
                return None
            if kind in ("P", "E"):
                self._payload = (kind == "E", _number(words[0], MAX_PAYLOAD))
                return None
            if kind == "S":
                return Opened(_file(words[0]), words[1], _number(words[2], MAX_OFFSET))
            if kind == "R":
                return Restarted(_file(words[0]), safe(" ".join(words[1:]), 100))
            if kind == "H":
                return Heartbeat()
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
