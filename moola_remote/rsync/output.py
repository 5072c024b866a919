"""What rsync prints: progress, totals, failures."""

from __future__ import annotations

import re
from pathlib import Path

from moola_remote.errors import (
    LimitError,
    MoolaError,
    PartialTransferError,
    TransferError,
    UnreachableError,
)
from moola_remote.files.disk import NO_INODES, REMOVE_FILES, has_no_inodes
from moola_remote.rsync.argv import STALL_S

AGAIN = "run it again: what has arrived is not sent twice"
FULL = {
    "No space left on device": "the disk is full",
    "Disk quota exceeded": "its quota is used up",
}


def parse_progress(line: bytes) -> int | None:
    """Return the bytes of a line of ``--info=progress2``, or None if it is another line."""
    match = re.match(rb"\s*(\d+)\s+\d+%\s", line)
    return int(match[1]) if match else None


def parse_sent(line: bytes) -> int | None:
    """Return the bytes of the line ``Literal data: N bytes``: file content that was sent."""
    match = re.match(rb"Literal data: (\d+) bytes", line)
    return int(match[1]) if match else None


def failure(where: str, code: int, stderr: bytes, *, here: Path | None = None) -> MoolaError:
    """Return what an exit code of rsync means; call it once the connection is known to be alive.

    Args:
        where: the pod and the folder, the beginning of the message.
        code: rsync's exit code; negative where a signal ended it.
        stderr: what it said, both sides'.
        here: the folder of this machine that it wrote to; None where it wrote on the pod.
    """
    said = _said(stderr)
    for words, what in FULL.items():
        if words in said:  # only who writes can say so
            place = where if here is None else f"{here} on this machine"
            if here is not None and has_no_inodes(here):
                full = LimitError(f"{place}: {NO_INODES}", REMOVE_FILES)
            else:
                full = LimitError(f"{place}: {what}", "free some space, then run it again")
            full.is_of_pod = here is None
            return full
    if code == 127 or ("rsync" in said and "not found" in said):
        return UnreachableError(
            f"{where}: rsync is missing on the pod", "there: apt-get install rsync"
        )
    if code == 30:
        return UnreachableError(f"{where}: no data for {STALL_S} s", AGAIN)
    if "File too large" in said or code == -25:
        return TransferError(f"{where}: a file grew beyond what the pod had announced")
    if code == 2 or "is your shell clean" in said:
        return TransferError(
            f"{where}: the other side does not speak rsync's protocol",
            "make the pod's shell silent at start (.bashrc), or compare the versions of rsync",
        )
    if code in (23, 24):
        return PartialTransferError(
            f"{where}: not everything could be sent, {said}", "run it again"
        )
    return TransferError(f"{where}: rsync ended with {code}, {said or 'and said nothing'}")


def cut(err: UnreachableError) -> UnreachableError:
    """Return the error for a transfer that a lost connection has cut."""
    return UnreachableError(err.message, AGAIN)


def _said(stderr: bytes) -> str:
    """Return the first informative line, without control characters."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines()]
    lines = [line for line in lines if line]
    informative = [line for line in lines if not line.startswith("rsync error:")] or lines
    return informative[0].encode("unicode_escape").decode("ascii")[:300] if informative else ""
