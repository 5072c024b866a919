"""The Pythons of this machine, by version: of pyenv, of the PATH, or out of a newer Debian."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
# What `sh tests/newer_python.sh` has put there.
NEWER = Path(sys.prefix) / "pythons"


def find_python(version: str) -> Path | None:
    """A real interpreter of this version, as 3.9; None where there is none."""
    name = f"python{version}"
    places = [
        *sorted(PYENV.glob(f"{version}.*/bin/{name}"))[-1:],
        NEWER / version / "usr/bin" / name,
    ]
    on_path = shutil.which(name)
    found = [*places, *([Path(on_path)] if on_path else [])]
    return next((path for path in found if path.is_file()), None)
