"""What a project that has no settings looks like: its packages, its data, its recipes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from moola_remote.config.starter import Guess
from moola_remote.deploy.declared import PYPROJECT
from moola_remote.deploy.dependencies import find_declaration, reader_of
from moola_remote.deploy.git import list_ignored
from moola_remote.deploy.ignored import is_data
from moola_remote.deploy.pyproject import names_of

if TYPE_CHECKING:
    from moola_remote.config.settings import Project

DATA_FOLDERS = ("data", "dataset", "datasets", "input", "inputs")
MAX_DATA = 8


def guess(project: Project) -> Guess:
    """Return what `init` writes into the settings of `project`.

    Raises:
        ConfigError: pyproject.toml can't be read, or git fails.
    """
    read = reader_of(project.folder)
    found = find_declaration(read)
    extras: list[str] = []
    groups: list[str] = []
    if read(PYPROJECT) is not None:
        extras, groups = names_of(PYPROJECT, read)
    return Guess(
        requirements=None if found is None else str(found),
        data=dict(_data(project.folder, project.results.as_posix())),
        extras=extras,
        groups=groups,
        has_recipes=any((project.folder / project.recipes).glob("*.yaml")),
    )


def _data(folder: Path, results: str) -> Iterator[tuple[str, str]]:
    """Folders that look like data: named so, or ignored by git and full of what is no code."""
    ignored = [path.rstrip("/") for path in list_ignored(folder)]
    named = [name for name in DATA_FOLDERS if (folder / name).is_dir() and name in ignored]
    others = [path for path in ignored if path not in named and is_data(folder / path)]
    seen: set[str] = set()
    for path in (*named, *others)[:MAX_DATA]:
        if path == results or path.startswith(f"{results}/"):
            continue
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePosixPath(path).name).strip("-") or "data"
        while name in seen:
            name += "-2"
        seen.add(name)
        yield name, path
