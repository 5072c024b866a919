"""What a fetch has done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from moola_remote.protocol.manifest import ManifestFile
from moola_remote.results.verify import Missing


@dataclass(frozen=True)
class Fetched:
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
