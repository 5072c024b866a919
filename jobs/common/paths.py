"""Where a job finds and puts what its command line names, by itself and as a run of moola-remote.

As a run it starts in the sealed code: what it wrote there would be neither fetched nor kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from moola_core.errors import ConfigError


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


def require_place(option: str, path: Path | None, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse a file that can't be written, if one is asked for, before the work for it is done.

    Raises:
        ConfigError: its folder is not there or not to be written to, it is a folder itself, or one
            of the `inputs`, which would be lost.
    """
    if path is None:
        return
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"{option} {path}: no such folder, {folder}; make it first")
    if path.is_dir():
        raise ConfigError(f"{option} {path}: a folder, expected a file; name one in it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{option} {path}: no right to write to {folder}, expected a folder of yours;"
            " name another"
        )
    if path.exists() and any(one and one.exists() and one.samefile(path) for one in inputs):
        raise ConfigError(
            f"{option} {path}: an input, which would be replaced, expected a new file; name another"
        )


def make_folder(option: str, folder: Path) -> None:
    """Make a folder that is to be written to, and those that it is in.

    Raises:
        ConfigError: it can't be made, as where a file has its name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ConfigError(
            f"{option} {folder}: can't be made, {err.strerror}, expected a folder; name another"
        ) from err


def own_artifacts() -> Path | None:
    """Return the artifacts folder of this run; None outside of one."""
    run_dir = os.environ.get("MOOLA_RUN_DIR")
    return Path(run_dir) / "artifacts" if run_dir else None
