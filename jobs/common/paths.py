"""Where a job finds and puts what its command line names, by itself and as a run of moola-remote.

As a run it starts in the sealed code: what it wrote there would be neither fetched nor kept.
"""

from __future__ import annotations

import os
from pathlib import Path


def found(text: str) -> Path:
    """Return a path; if missing, one beside this run (another run's id) or in its data."""
    path = Path(text)
    folders = []
    if run_dir := os.environ.get("MOOLA_RUN_DIR"):
        folders.append(Path(run_dir).parent)
    if data_dir := os.environ.get("MOOLA_DATA_DIR"):
        folders.append(Path(data_dir))
    others = [folder / path for folder in folders]
    return next((one for one in (path, *others) if one.exists()), path)


def output(text: str) -> Path:
    """Return a path to write; in a run a relative one is below the run's own folder."""
    return Path(os.environ.get("MOOLA_RUN_DIR", ""), text)


def own_artifacts() -> Path | None:
    """Return the artifacts folder of this run; None outside of one."""
    run_dir = os.environ.get("MOOLA_RUN_DIR")
    return Path(run_dir) / "artifacts" if run_dir else None
