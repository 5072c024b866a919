"""What a project's code needs: read from the files in which it declares that already.

Four kinds of file are understood: a list in pip's form, ``pyproject.toml`` with extras and groups,
``uv.lock``, and a constraint file. All become one text in pip's form, whole in itself: what the pod
installs does not depend on files that are not there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from moola_remote.config.text import as_text
from moola_remote.deploy.bundled import is_built
from moola_remote.deploy.checkout import is_lfs_pointer
from moola_remote.deploy.credentials import take_credentials
from moola_remote.deploy.declared import LOCK, PYPROJECT, SETTINGS, Dependencies, Reader
from moola_remote.deploy.import_paths import import_paths
from moola_remote.deploy.local_paths import package_of
from moola_remote.deploy.pyproject import (
    declares,
    is_among,
    read_installed,
    read_pyproject,
)
from moola_remote.deploy.requirements import read_requirements
from moola_remote.deploy.undeclared import unbuilt, undeclared
from moola_remote.deploy.uv_lock import read_lock
from moola_remote.errors import ConfigError
from moola_remote.files.hashing import sha256_of

if TYPE_CHECKING:
    from moola_remote.config.settings import Project

# Before the projects of others could be used, this was where the list was.
FORMER = PurePosixPath("jobs/requirements.txt")
REQUIREMENTS = PurePosixPath("requirements.txt")


def read_dependencies(
    project: Project, read: Reader, *, variables: Mapping[str, str] | None = None
) -> Dependencies:
    """Return the packages that a project declares.

    Args:
        project: names the file, or leaves it to us: ``jobs/requirements.txt``, ``uv.lock``,
            ``pyproject.toml`` and ``requirements.txt`` are looked at in this order.
        read: reads a file of the project, as it is here or in a snapshot.
        variables: those that lists may name; None: the user's. See `take_credentials`.

    Raises:
        ConfigError: the file is missing, or can't be understood.
    """
    variables = os.environ if variables is None else variables
    if project.requirements is None:
        path = find_declaration(read)
    else:
        path = PurePosixPath(project.requirements.as_posix())
        if path.is_absolute() or ".." in path.parts:
            raise ConfigError(
                f"{path}: outside of the project, so it is not sent",
                f"move it into the project, and correct `requirements` in {SETTINGS}",
            )
    if path is None:
        _refuse_choice(PurePosixPath("the project"), extras=project.extras, groups=project.groups)
    made = Dependencies(notes=undeclared(read))
    if path is not None:
        made = _read(project, path, read, variables)
    bounds = Dependencies()
    if project.constraints is not None:
        bounds = read_requirements(PurePosixPath(project.constraints.as_posix()), read)
    built = [package_of(PurePosixPath(file).name) for file in made.files]
    comes_built = is_among(read(PYPROJECT) or "", built)
    own = [] if comes_built else import_paths(PurePosixPath(), read)
    made = replace(
        made,
        constraints=made.constraints + bounds.requirements,
        files={**made.files, **bounds.files},
        torch=project.torch,
        paths=tuple(dict.fromkeys([*own, *made.paths])),
        notes=(*made.notes, *(() if comes_built else unbuilt(read))),
    )
    return take_credentials(made, variables)


def find_declaration(read: Reader) -> PurePosixPath | None:
    """Return the file in which a project declares what it needs; None where it declares nothing."""
    for path in (FORMER, LOCK):
        if read(path) is not None:
            return path
    pyproject = read(PYPROJECT)
    if pyproject is not None and declares(pyproject):
        return PYPROJECT
    return REQUIREMENTS if read(REQUIREMENTS) is not None else None


def _read(
    project: Project, path: PurePosixPath, read: Reader, variables: Mapping[str, str]
) -> Dependencies:
    if path.name == LOCK.name:
        return read_lock(
            path, read, extras=project.extras, groups=project.groups, variables=variables
        )
    if path.name == PYPROJECT.name:
        return read_pyproject(path, read, extras=project.extras, groups=project.groups)
    _refuse_choice(path, extras=project.extras, groups=project.groups)
    return read_requirements(
        path, read, lambda folder, extras: read_installed(folder, read, extras)
    )


def _refuse_choice(path: PurePosixPath, **chosen: Sequence[str]) -> None:
    for key, names in chosen.items():
        if names:
            raise ConfigError(
                f"{key}: {', '.join(names)}: {path} has no {key}, expected a pyproject.toml or "
                "uv.lock as `requirements`",
                f"remove `{key}`, or name the other file",
            )


@dataclass(frozen=True)
class FolderReader:
    """A reader of a project that lies on this machine; it raises on a file it can't read.

    Args:
        place: where it lies.
        folder: the project, which `place` may be an older snapshot of.
    """

    place: Path
    folder: Path

    def __call__(self, path: PurePosixPath, /) -> str | None:
        """See `Reader`."""
        file = self.place / path
        try:
            return as_text(file, file.read_bytes(), wide=True)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as err:
            raise ConfigError(f"{file}: can't be read, {err.strerror}") from err

    def look(self, path: PurePosixPath, /) -> list[str] | None:
        """See `Reader`."""
        there = self.place / path
        if there.is_dir():
            names = (str(path / one.name) for one in there.iterdir() if is_built(one.name))
            return sorted(names)
        return [str(path)] if there.is_file() else None

    def sha256(self, path: PurePosixPath, /) -> str:
        """See `Reader`."""
        file = self.place / path
        try:
            if is_lfs_pointer(file, file.lstat()):
                raise ConfigError(f"{file}: a Git LFS pointer without its content", "git lfs pull")
            if file.is_symlink():
                raise ConfigError(f"{file}: a link, expected a file", "put the file itself there")
            return sha256_of(file)[1]
        except OSError as err:
            raise ConfigError(f"{file}: can't be read, {err.strerror}") from err


def reader_of(folder: Path, project: Path | None = None) -> FolderReader:
    """Return a reader of the files in `folder`, of a `project` that lies elsewhere if it is one."""
    return FolderReader(folder, project or folder)
