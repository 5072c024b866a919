"""Modules of the standard library that most calls do not need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["hashlib", "shutil", "subprocess"]


class Later:
    """A module that is imported when it is first used: most calls need none of these."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, key: str) -> Any:
        return getattr(__import__(self.name), key)


if TYPE_CHECKING:
    import hashlib
    import shutil
    import subprocess
else:
    hashlib, shutil, subprocess = Later("hashlib"), Later("shutil"), Later("subprocess")
