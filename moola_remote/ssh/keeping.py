"""Where connections that stay have their sockets, and for how long they stay."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

# A path of macOS's has 104 bytes with its end; ssh binds ".", 16 characters more, then renames.
SOCKET_PATH_MAX = 104 - 1 - 17
NAME_LENGTH = 16


@dataclass(frozen=True)
class Keeping:
    """How connections stay open.

    Attributes:
        folder: of their sockets; private.
        seconds: for which one stays that nobody uses.
    """

    folder: Path
    seconds: int


def keeping(state: Path, seconds: int) -> Keeping | None:
    """Return how connections stay open; None where they don't.

    Args:
        state: the laptop's folder of ours; where its path is too long for a socket, or odd, a
            folder in /tmp stands in.
        seconds: 0 keeps none.
    """
    folder = state / "ssh"
    is_long = len(os.fsencode(folder)) + 1 + NAME_LENGTH > SOCKET_PATH_MAX
    if is_long or "%" in str(folder) or "$" in str(folder):  # ssh would expand those
        digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:NAME_LENGTH]
        folder = Path("/tmp") / f"moola-{os.getuid()}-{digest}"  # noqa: S108 - checked below
    if not seconds:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    is_ours = is_ours and os.access(folder, os.W_OK | os.X_OK)  # a disk may be read-only
    return Keeping(folder, seconds) if is_ours and not found.st_mode & 0o077 else None
