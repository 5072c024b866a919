"""``rsync --server --sender`` that lies: protocol 31, written from rsync's own source, by hand.

    lying_rsync.py LIE --server --sender ...

What it is asked for it reads from its folder; the lie changes what it then says. Without one
(``none``) it serves as rsync would, which shows that nothing but the lie was refused.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

PROTOCOL = 31
DATA, ERROR = 7, 10  # tags of the multiplexed stream: MPLEX_BASE + MSG_DATA, + MSG_ERROR
LONG_NAME = 0x40
BASIS_FOLLOWS, NAME_FOLLOWS, TRANSFER = 1 << 11, 1 << 12, 1 << 15
DONE = -1
BLOCK = 32_000
REGULAR = stat.S_IFREG | 0o644


@dataclass
class Shown:
    """A file as the list shows it; what is then sent need be neither of that size nor ever end."""

    name: bytes
    content: bytes = b""
    size: int = -1
    mode: int = REGULAR
    digest: bytes | None = None
    is_endless: bool = False

    def blocks(self) -> Iterator[bytes]:
        """What is sent of it."""
        for start in range(0, len(self.content), BLOCK):
            yield self.content[start : start + BLOCK]
        while self.is_endless:
            yield bytes(BLOCK)


def _extra(name: str) -> Callable[[list[Shown]], list[Shown]]:
    return lambda files: [*files, Shown(os.fsencode(name), b"planted")]


def _log(**changes: object) -> Callable[[list[Shown]], list[Shown]]:
    return lambda files: [
        replace(file, **changes) if file.name == b"log" else file  # type: ignore[arg-type]
        for file in files
    ]


LIES: dict[str, Callable[[list[Shown]], list[Shown]]] = {
    "none": lambda files: files,
    "set-uid": _log(mode=stat.S_IFREG | 0o6777),
    "unasked": _extra("unasked"),
    "above": _extra("../planted"),
    "far above": _extra("../../../../../../../../tmp/moola-planted"),
    "absolute": _extra("/tmp/moola-planted"),
    "dots inside": _extra("artifacts/../../planted"),
    "escape": _extra("\x1b]0;owned\x07\x1b[2J"),
    "newline": _extra("log\nError: all is well"),
    "hidden": _extra(".bashrc"),
    "a link": _log(mode=stat.S_IFLNK | 0o777),
    "a fifo": _log(mode=stat.S_IFIFO | 0o666),
    "a device": _log(mode=stat.S_IFBLK | 0o666),
    "a folder": _log(mode=stat.S_IFDIR | 0o777),
    "below a link": lambda files: [Shown(b"artifacts", mode=stat.S_IFLNK | 0o777), *files],
    "a hundred thousand": lambda files: [
        *files,
        *(Shown(b"many/%06d" % number) for number in range(100_000)),
    ],
    "ten terabytes": _log(size=10 * 2**40),
    "no end": _log(is_endless=True),
    "wrong digest": _log(digest=bytes(16)),
    "other content": _log(content=b"SAID\n"),
    "cut": _log(content=b"sa"),
    "endless list": lambda files: files,
    "endless talk": lambda files: files,
}


@dataclass
class Wire:
    """rsync's encodings, on stdin and stdout; multiplexed once `begin` was called."""

    is_multiplexed: bool = False
    _read: bytearray = field(default_factory=bytearray)
    _read_ndx: int = -1
    _write_ndx: int = -1

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        while len(self._read) < size:
            if self.is_multiplexed:
                (head,) = struct.unpack("<I", self._raw(4))
                data = self._raw(head & 0xFFFFFF)
                if head >> 24 == DATA:
                    self._read += data
            else:
                self._read += self._raw(1)
        data, self._read = bytes(self._read[:size]), self._read[size:]
        return data

    def _raw(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = os.read(0, size - len(data))
            if not part:
                raise SystemExit(12)
            data += part
        return data

    def put(self, data: bytes, tag: int = DATA) -> None:
        """All of `data`, at most 16 MB."""
        view = memoryview(data)
        if self.is_multiplexed:
            view = memoryview(struct.pack("<I", (tag << 24) | len(data)) + data)
        while view:
            view = view[os.write(1, view) :]

    def take_int(self) -> int:
        """An ``int`` of 4 bytes."""
        (value,) = struct.unpack("<i", self.take(4))
        return int(value)

    def take_until(self, end: bytes) -> bytes:
        """Up to and with `end`."""
        data = b""
        while not data.endswith(end):
            data += self.take(1)
        return data

    def take_ndx(self) -> int:
        """The index of a file, given as a difference to the one before."""
        first = self.take(1)[0]
        if first == 0:
            return DONE
        if first != 0xFE:
            self._read_ndx += first
            return self._read_ndx
        high, low = self.take(2)
        if high & 0x80:
            more = self.take(2)
            self._read_ndx = ((high & 0x7F) << 24) | low | (more[0] << 8) | (more[1] << 16)
        else:
            self._read_ndx += (high << 8) | low
        return self._read_ndx

    def ndx(self, ndx: int) -> bytes:
        """The same, to be sent."""
        if ndx == DONE:
            return b"\0"
        step, self._write_ndx = ndx - self._write_ndx, ndx
        if 0 < step < 0xFE:
            return bytes([step])
        if 0 < step <= 0x7FFF:
            return bytes([0xFE, step >> 8, step & 0xFF])
        return bytes([0xFE, (ndx >> 24) | 0x80, ndx & 0xFF, (ndx >> 8) & 0xFF, (ndx >> 16) & 0xFF])


def varlong(value: int, least: int, whole: int = 8) -> bytes:
    """A number of `least` bytes or more; the first byte says how many follow."""
    digits = value.to_bytes(whole, "little")
    count = whole
    while count > least and digits[count - 1] == 0:
        count -= 1
    bit = 1 << (7 - count + least)
    last = digits[count - 1]
    if last >= bit:
        return bytes([~(bit - 1) & 0xFF]) + digits[:count]
    if count > least:
        return bytes([(last | ~(bit * 2 - 1)) & 0xFF]) + digits[: count - 1]
    return bytes([last]) + digits[: count - 1]


def listed(file: Shown) -> bytes:
    """A file's entry in the list."""
    size = len(file.content) if file.size < 0 else file.size
    return b"".join(
        (
            bytes([LONG_NAME]),
            varlong(len(file.name), 1, whole=4),
            file.name,
            varlong(size, 3),
            varlong(1_000_000_000, 4),
            struct.pack("<I", file.mode),
        )
    )


def in_order(file: Shown) -> list[tuple[bool, bytes]]:
    """rsync's order: in a folder files come first, then folders."""
    if file.name == b".":
        return []
    *folders, name = file.name.split(b"/")
    is_folder = stat.S_ISDIR(file.mode)
    return [*((True, folder) for folder in folders), (is_folder, name)]


def shake_hands(wire: Wire) -> list[bytes]:
    """Arguments, versions, rules; returns the names that are asked for."""
    folder = wire.take_until(b"\0\0").split(b"\0")[-3]  # --protect-args: they come on stdin
    os.chdir(folder)
    wire.put(struct.pack("<i", PROTOCOL))
    wire.take_int()
    wire.put(bytes([0]) + struct.pack("<i", 1))  # no compatibility flags; a seed that is not used
    wire.is_multiplexed = True
    while size := wire.take_int():
        wire.take(size)
    return [os.path.normpath(name) for name in wire.take_until(b"\0\0").split(b"\0") if name]


def send(wire: Wire, file: Shown) -> None:
    """The content of a file, all of it literal, and its digest."""
    digest = hashlib.md5(usedforsecurity=False)
    for block in file.blocks():
        digest.update(block)
        wire.put(struct.pack("<i", len(block)) + block)
    wire.put(struct.pack("<i", 0) + (file.digest or digest.digest()))


def serve(wire: Wire, files: list[Shown]) -> None:
    """Whatever the other side asks for, to the end of the last phase."""
    phases = 3
    while phases:
        ndx = wire.take_ndx()
        if ndx == DONE:
            phases -= 1
            wire.put(wire.ndx(DONE))
            continue
        flags = wire.take(2)
        (bits,) = struct.unpack("<H", flags)
        extra = wire.take(1) if bits & BASIS_FOLLOWS else b""
        if bits & NAME_FOLLOWS:
            size = wire.take(1)
            extra += size + wire.take(size[0])
        answer = wire.ndx(ndx) + flags + extra
        if bits & TRANSFER:
            head = wire.take(16)
            count, _, length, _ = struct.unpack("<4i", head)
            wire.take(count * (4 + length))
            wire.put(answer + head)
            send(wire, files[ndx])
        else:
            wire.put(answer)
    wire.put(b"".join(varlong(0, 3) for _ in range(5)))  # statistics
    wire.take_ndx()
    wire.put(wire.ndx(DONE))
    wire.take_ndx()


def main() -> None:
    """Serve once."""
    wire = Wire()
    names = shake_hands(wire)
    honest = [Shown(name, Path(os.fsdecode(name)).read_bytes()) for name in names]
    above = {bytes(parent) for name in names for parent in PurePosixPath(os.fsdecode(name)).parents}
    honest += [Shown(name, mode=stat.S_IFDIR | 0o755) for name in above]
    files = sorted(LIES[sys.argv[1]](honest), key=in_order)
    entries = list(map(listed, files))
    for start in range(0, len(entries), 1000):
        wire.put(b"".join(entries[start : start + 1000]))
    while sys.argv[1] == "endless list":
        wire.put(b"".join(map(listed, files)) * 100)
    wire.put(b"\0")
    wire.put(b"\x1b[2Jowned\n", tag=ERROR)
    while sys.argv[1] == "endless talk":
        wire.put(b"owned " * 100 + b"\n", tag=ERROR)
    serve(wire, files)


if __name__ == "__main__":
    main()
