"""Modules of the standard library that most calls do not need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["hashlib", "shutil", "subprocess", "zipfile"]


class Later:
    """A module that is imported when it is first used: most calls need none of these."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, key: str) -> Any:
        found = getattr(__import__(self.name), key)
        setattr(self, key, found)
        return found


if TYPE_CHECKING:
    import hashlib
    import shutil
    import subprocess
    import zipfile
else:
    hashlib, shutil = Later("hashlib"), Later("shutil")
    subprocess, zipfile = Later("subprocess"), Later("zipfile")
