"""What a fetch may do, and what it has done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from moola_remote.protocol.manifest import ManifestFile


class Caps(NamedTuple):
    """The most of one run that may come to lie here, by however many fetches."""

    max_files: int = 100_000
    max_bytes: int = 50 * 10**9


DEFAULT_CAPS = Caps()


class Missing(NamedTuple):
    """Something that a run declares and that is not here; `path` and `why` are safe to show."""

    path: str
    why: str
    size: int = 0


class Fetched(NamedTuple):
    """What a fetch has done; `files` and `bytes` count what came now.

    Attributes:
        missing: what was asked for and is not here, with the reason.
        empty: what the pod could not read and has no bytes, as a socket; nothing is lost with it.
        left: outputs in the working folder that ``results`` leaves on the pod for their size.
        changed_ns: when a file that was here already was changed last, its ctime.
    """

    run_id: str
    folder: Path
    files: int
    bytes: int
    already_there: int
    seconds: float
    missing: tuple[Missing, ...] = ()
    empty: tuple[Missing, ...] = ()
    left: tuple[ManifestFile, ...] = ()
    changed_ns: int = 0
