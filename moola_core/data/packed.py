"""The bytes of a text file, unpacked, and their encoding."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa

from moola_core.errors import DataError

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8", 3),
    (b"\xff\xfe\0\0", "utf-32-le", 4),  # before UTF-16, whose mark it begins with
    (b"\0\0\xfe\xff", "utf-32-be", 4),
    (b"\xff\xfe", "utf-16-le", 2),
    (b"\xfe\xff", "utf-16-be", 2),
)


def text_encoding(start: bytes) -> tuple[str, int]:
    """Return the encoding of a text by its start, and how many bytes its mark has."""
    for mark, encoding, length in _MARKS:
        if start.startswith(mark):
            return encoding, length
    pairs = start[:200]
    if len(pairs) >= 8 and pairs[1::2].count(0) > 0.9 * len(pairs[1::2]) and 0 not in pairs[::2]:
        return "utf-16-le", 0
    if len(pairs) >= 8 and pairs[::2].count(0) > 0.9 * len(pairs[::2]) and 0 not in pairs[1::2]:
        return "utf-16-be", 0
    return "utf-8", 0


def _magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6)


def is_packed(path: Path) -> bool:
    """Return whether a file is compressed, by its first bytes."""
    return (
        re.match(
            rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|\x04\x22\x4d\x18|PK\x03\x04", _magic(path)
        )
        is not None
    )


def open_bytes(path: Path) -> Any:
    """Open the unpacked bytes of a file, whatever it is packed with, as a stream."""
    magic = _magic(path)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.open(path)
    if magic.startswith(b"BZh"):
        return bz2.open(path)
    if magic.startswith(b"\xfd7zXZ"):
        return lzma.open(path)
    for start, name in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4")):
        if magic.startswith(start):
            return pa.CompressedInputStream(pa.OSFile(str(path)), name)
    if magic.startswith(b"PK\x03\x04"):
        return _open_zip(path)
    return path.open("rb")


def _open_zip(path: Path) -> Any:
    archive = zipfile.ZipFile(path)
    names = [name for name in archive.namelist() if not name.endswith("/")]
    # beside each file that macOS packs lies one of what it knows of it
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if "[Content_Types].xml" in names:
        raise DataError(
            f"{path}: an Excel workbook, expected a text table; in Excel: Save as > CSV UTF-8"
        )
    if "mimetype" in names and "content.xml" in names:
        raise DataError(
            f"{path}: an OpenDocument sheet, expected a text table; in LibreOffice:"
            " Save As > Text CSV"
        )
    tables = [name for name in names if name.lower().endswith((".csv", ".txt", ".tsv"))] or names
    # HistData's archives hold a .txt with a report beside the .csv.
    tables = [name for name in tables if name.lower().endswith(".csv")] or tables
    if len(tables) != 1:
        raise DataError(
            f"{path}: holds {len(tables)} tables, expected 1; unpack it, got"
            f" {', '.join(tables[:5])}"
        )
    return archive.open(tables[0])
