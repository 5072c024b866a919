"""What is dear to make and only read: made once a session, for all workers of xdist."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Callable
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


# Where numba keeps what it compiles for the tests and their pods, by the content of moola_core.
KERNELS = Path(sys.prefix) / "numba"


def keep_kernels() -> None:
    """Have every process of the tests share what one has compiled; what older code needed goes."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(KERNELS))
    if KERNELS.is_dir() and not os.environ.get("PYTEST_XDIST_WORKER"):
        oldest_first = sorted(KERNELS.iterdir(), key=lambda path: path.stat().st_mtime)
        for folder in oldest_first[:-8]:
            shutil.rmtree(folder, ignore_errors=True)


def market(factory: pytest.TempPathFactory) -> Path:
    """Return the data of somebody who has none: the built-in market as files, seed 0."""
    from jobs.synthesize import main

    def make(folder: Path) -> None:
        assert main(["--out", str(folder / "data")]) == 0

    return made_once(factory, "market", make) / "data"
