"""The packages that a job needs, in the one form that the pod is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

# The content of a project's file by its path below the project; None where there is none.
Reader = Callable[[PurePosixPath], "str | None"]
LOCK = PurePosixPath("uv.lock")
PYPROJECT = PurePosixPath("pyproject.toml")


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
        paths: below the code, where the project's own packages are imported from.
        notes: what was left out or taken for granted, a line each.
    """

    source: str = ""
    requirements: str = ""
    constraints: str = ""
    is_locked: bool = False
    without_torch: str | None = None
    torch: Literal["image", "project"] = "image"
    paths: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def digest(self, python: str) -> str:
        """Return the name of the environment that has them over a pod's `python`."""
        text = f"{python}\0{self.requirements}"
        more = {**self.asked, "requirements": ""}
        if more != Dependencies().asked:
            text += f"\0{json.dumps(more, sort_keys=True)}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def asked(self) -> dict[str, Any]:
        """What the agent is asked to install."""
        return {
            "requirements": self.requirements,
            "constraints": self.constraints,
            "locked": self.is_locked,
            "without_torch": self.without_torch,
            "torch": self.torch,
        }
