"""Packages that lie in the project as files: named for the pod, and sent with the code.

A line that names one begins there with ``${MOOLA_CODE}``: pip and uv put in the address of the
code, which the agent gives them.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from urllib.parse import quote

from moola_remote.deploy.declared import Reader
from moola_remote.deploy.local_paths import BUILT, Local, package_of
from moola_remote.errors import ConfigError

CODE = "${MOOLA_CODE}"
# What ``pip freeze`` says of a package that conda has installed.
_OF_CONDA = re.compile(r"/(croot|opt/conda/conda-bld|home/conda/feedstock_root|tmp/build)/")


class Bundle:
    """The files of the project that a list of packages names.

    Attributes:
        files: the SHA-256 of each by its path below the project.
        notes: about what stays as it is written, a line each.
    """

    def __init__(self, read: Reader) -> None:
        self._read = read
        self.files: dict[str, str] = {}
        self.notes: list[str] = []

    def place(self, listing: PurePosixPath, words: str, local: Local) -> PurePosixPath | None:
        """Return where a path lies below the project; None where it is the pod's own.

        It counts from the folder of the list, or else from the project's, where pip is run.

        Raises:
            ConfigError: it leads out of the project, or is one of the machine that built for conda.
        """
        path = PurePosixPath(local.path)
        if path.is_absolute():
            if path.is_relative_to(self._read.folder):
                return path.relative_to(self._read.folder)
            if _OF_CONDA.match(local.path):
                raise ConfigError(
                    f"{listing}: {words}: a path of the machine that built it for conda",
                    "in its environment: pip list --format=freeze > requirements.txt",
                )
            self.notes.append(
                f"{listing}: {words}: outside of the project, so that it is not sent: the pod "
                "needs it at that path; or move it into the project"
            )
            return None
        starts = [PurePosixPath()] if local.is_from_top else [listing.parent, PurePosixPath()]
        inside = [found for found in (normal(start / path) for start in starts) if found]
        there = [found for found in inside if self._read.look(found) is not None]
        if not inside:
            raise _outside(listing, words)
        return (there or inside)[0]

    def file_line(self, listing: PurePosixPath, words: str, local: Local) -> str:
        """Return the line that has a file of the project installed on the pod.

        Raises:
            ConfigError: there is no such file, or its name is no wheel's.
        """
        path = self.place(listing, words, local)
        if path is None:
            return words
        if self._read.look(path) != [str(path)]:
            raise ConfigError(
                f"{listing}: {words}: no such file, expected {path} in the project",
                "build it there, or correct the line",
            )
        name = local.name or package_of(path.name)
        if path.suffix == ".whl" and not package_of(path.name):
            raise ConfigError(
                f"{listing}: {words}: not a wheel's name, expected NAME-VERSION-TAGS.whl",
                "give it the name that it was built with",
            )
        self.files[str(path)] = self._read.sha256(path)
        before = f"{name}{local.extras} @ " if name else ""
        behind = f" {local.rest}" if local.rest else ""
        return f"{before}{CODE}/{_quoted(path)}{local.fragment}{behind}"

    def links_line(self, listing: PurePosixPath, words: str, local: Local) -> str:
        """Return the line that has pip look at a place of the project; empty where there is none.

        Raises:
            ConfigError: it lies outside of the project.
        """
        path = self.place(listing, words, local)
        if path is None:
            return words
        found = self._read.look(path)
        if not found:
            self.notes.append(f"{listing}: {words}: no packages there; left out")
            return ""
        self.files.update((name, self._read.sha256(PurePosixPath(name))) for name in found)
        return f"--find-links {CODE}/{_quoted(path)}"


def is_built(name: str) -> bool:
    """Return whether a file is one that pip installs."""
    return name.lower().endswith(BUILT)


def _quoted(path: PurePosixPath) -> str:
    return quote(os.fsencode(path))


def _outside(listing: PurePosixPath, words: str) -> ConfigError:
    return ConfigError(
        f"{listing}: {words}: outside of the project, so it is not sent",
        "move it into the project, and correct the line",
    )


def normal(path: PurePosixPath) -> PurePosixPath | None:
    """Return a path without ``..``; None where it leaves the project."""
    parts: list[str] = []
    for part in path.parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    return PurePosixPath(*parts)
