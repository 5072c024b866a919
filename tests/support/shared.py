"""What is dear to make and only read: made once a session, for all workers of xdist."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first worker to ask makes; a test that changes it takes a copy.

    Args:
        factory: of this worker's temporary folders.
        name: of the folder, one for the whole session.
        make: writes into an empty folder.
    """
    base = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    folder, done = base / f"shared-{name}", base / f"shared-{name}.done"
    with (base / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def kernels() -> Path:
    """Return where numba keeps what it compiles for pods and `make test`, by moola_core's content.

    Elsewhere it keeps that beside the source, so that after a change of one file the rest stays.
    """
    kept = Path(sys.prefix) / "numba"
    kept.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):  # another worker was quicker
        oldest_first = sorted(kept.iterdir(), key=lambda path: path.stat().st_mtime)
        for folder in oldest_first[:-8]:
            shutil.rmtree(folder, ignore_errors=True)
    return kept


def market(factory: pytest.TempPathFactory) -> Path:
    """Return the data of somebody who has none: the built-in market as files, seed 0."""
    from jobs.synthesize import main

    def make(folder: Path) -> None:
        assert main(["--out", str(folder / "data")]) == 0

    return made_once(factory, "market", make) / "data"
