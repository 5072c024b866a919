"""Runs that were fetched: which there are, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import ConfigError
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.report.run_files import RunFiles
LATEST = 2


def fetched(folder: Path) -> list[Path]:
    """Return the folders of fetched runs with a result, oldest first; ids begin with the time."""
    return sorted(
        path.parent for path in folder.glob("*/result.json") if path.parent.name[0] != "."
    )


def choose(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the runs that the user means, by id or its beginning; else the latest two results.

    Raises:
        ConfigError: none, or several, begin so.
    """
    if names:
        return [choose_folder(folder, name) for name in names]
    there = fetched(folder)
    if not there and _started(folder):
        raise ConfigError(
            f"{folder}: no fetched runs with a result.json, expected one with scores to compare",
            "have the job write it to MOOLA_RUN_DIR, or name runs to compare their settings",
        )
    if not there:
        raise ConfigError(f"{folder}: no fetched runs", "moola-remote fetch results")
    return there[-LATEST:]


def choose_folder(folder: Path, name: str | None) -> Path:
    """Return the folder of the fetched run the user means, with a result or not; else the latest.

    Raises:
        ConfigError: none, or several, begin so.
    """
    there = sorted(_started(folder).union(fetched(folder)))
    if not there:
        raise ConfigError(f"{folder}: no fetched runs", "moola-remote fetch results")
    return there[-1] if name is None else _one(there, name)


def _started(folder: Path) -> set[Path]:
    return {path.parent for path in folder.glob("[!.]*/spec.json")}


def _one(there: Sequence[Path], name: str) -> Path:
    found = [path for path in there if path.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(path.name for path in (found or there)[-3:])
    shown = safe(name, 80)
    if found:
        raise ConfigError(
            f"run {shown}: {len(found)} fetched runs begin with that: {known}", "name one"
        )
    raise ConfigError(
        f"run {shown}: not fetched, expected one of {known}", f"moola-remote fetch results {shown}"
    )


def load(name: str | None = None, folder: Path | None = None) -> RunFiles:
    """Return a fetched run as plain objects: its scores, its windows with their spans, its epochs.

    Args:
        name: a run's id or its beginning; None is the latest.
        folder: where fetched runs lie; None is where the current project keeps them.

    Raises:
        ConfigError: none, or several, begin so; or it holds nothing of a run.
    """
    from moola_remote.config.settings import find_project
    from moola_remote.report.run_files import read_run

    folder = find_project(Path.cwd()).results_folder if folder is None else folder
    return read_run(choose_folder(folder, name))
