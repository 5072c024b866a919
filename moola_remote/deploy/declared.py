"""The packages that a job needs, in the one form that the pod is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from moola_remote.config.settings import OWN_FILE, TABLE

LOCK = PurePosixPath("uv.lock")
PYPROJECT = PurePosixPath("pyproject.toml")
# The project's own, in the words of a cure: who reads lists does not know which of the two it has.
SETTINGS = f"{TABLE} or {OWN_FILE}"


class Reader(Protocol):
    """The files of a project, by their paths below it: as it is here, or as a snapshot has it."""

    @property
    def folder(self) -> Path:
        """The project on this machine, as an absolute path in a list may name it."""

    def __call__(self, path: PurePosixPath, /) -> str | None:
        """Return the text of a file; None where there is none."""

    def look(self, path: PurePosixPath, /) -> list[str] | None:
        """Return the file itself, or the packages that are files of this folder; None: neither."""

    def sha256(self, path: PurePosixPath, /) -> str:
        """Return the hash of a file that `look` has named."""


@dataclass(frozen=True)
class Dependencies:
    """The packages that a job needs.

    Attributes:
        source: the file that names them, with what was chosen of it; empty where there is none.
        requirements: in pip's form, without a reference to another file.
        constraints: in pip's form; versions that hold for whatever is installed.
        is_locked: the list is complete, and nothing but it is installed.
        without_torch: what is left of a locked list where the pod's own torch stays; None where the
            list is not locked.
        torch: whose torch the job gets: the image's where it has one, or the project's.
        files: what lies in the project and is installed from there: each SHA-256 by its path.
        paths: below the code, where the project's own packages are imported from.
        credentials: what names in the lists stand for; no part of them (`take_credentials`).
        notes: what was left out or taken for granted, a line each.
    """

    source: str = ""
    requirements: str = ""
    constraints: str = ""
    is_locked: bool = False
    without_torch: str | None = None
    torch: Literal["image", "project"] = "image"
    files: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    credentials: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def digest(self, python: str) -> str:
        """Return the name of the environment that has them over a pod's `python`."""
        return hashlib.sha256(f"{python}\0{self.lists}".encode()).hexdigest()[:16]

    @property
    def lists(self) -> str:
        """All that an environment is named by beside its Python."""
        more = {**self.asked, "requirements": ""}
        if more == Dependencies().asked:
            return self.requirements
        return f"{self.requirements}\0{json.dumps(more, sort_keys=True)}"

    @property
    def asked(self) -> dict[str, Any]:
        """What the agent is asked to install."""
        return {
            "requirements": self.requirements,
            "constraints": self.constraints,
            "locked": self.is_locked,
            "without_torch": self.without_torch,
            "torch": self.torch,
            **({"files": dict(self.files)} if self.files else {}),
        }
