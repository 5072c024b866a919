"""The folder of results."""

from __future__ import annotations

import os
from pathlib import Path

from moola_remote.errors import ConfigError


def make_folder(folder: Path) -> Path:
    """Return the folder where fetched runs go, made if need be.

    Raises:
        ConfigError: something else lies there, or it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        why = "no permission"
    except OSError as err:
        why = str(err.strerror)
    raise ConfigError(
        f"{folder}: can't be written, {why}; expected a folder for results",
        "make room for it, or name another as `results` in pyproject.toml",
    )
