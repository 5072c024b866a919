"""Room on the disk of a node: without it a trial that fails says nothing of its parameters."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from jobs.common.ray_asked import WORKER
from jobs.common.signals import STOPPED
from jobs.common.trial import END, do_trial

ROOM_BYTES = 1 << 24  # as the agent of moola-remote judges runs
LEAVE = signal.SIGUSR1


def do_with_room(job: str, words: list[str], folder: Path) -> bool:
    """Do a trial as `do_trial` does, but without its end where it failed on a full disk.

    Returns:
        Whether it was stopped, or failed so: it is to be begun again.
    """
    try:
        code, _ = do_trial(job, words, folder)
    except OSError:
        if has_room(folder):
            raise
        code = STOPPED
    if code not in (0, STOPPED) and not has_room(folder):
        (folder / END).unlink(missing_ok=True)
        code = STOPPED
    if code == STOPPED and not has_room(folder):
        leave_node()
    return code == STOPPED


def has_room(folder: Path) -> bool:
    """Return whether a little can be written below a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
    except OSError:
        return False
    return True


def leave_node() -> None:
    """Have a worker of ours leave the cluster, so that what failed here is begun elsewhere."""
    with suppress(KeyError, ProcessLookupError):
        os.kill(int(os.environ[WORKER]), LEAVE)
