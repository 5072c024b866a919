"""What a checkout only stands for: files of Git LFS, and submodules, whose content is not here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moola_remote.files.hashing import AnyStatus

LFS_POINTER = "Git LFS pointers, whose content is not here (git lfs pull)"
SUBMODULE = "submodules that are not checked out (git submodule update --init)"

_BEGINS = b"version https://git-lfs.github.com/spec/v1\n"
# After the specification of Git LFS: smaller than 1024 bytes.
_MAX_BYTES = 1024


def is_lfs_pointer(path: Path | str, status: AnyStatus) -> bool:
    """Return whether a file is the pointer that Git LFS keeps in its place."""
    if not len(_BEGINS) <= status.st_size < _MAX_BYTES:
        return False
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - one of very many
            return file.read(len(_BEGINS)) == _BEGINS
    except OSError:  # reported when it is hashed
        return False
