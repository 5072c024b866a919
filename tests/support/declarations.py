"""Projects that declare what they need: written to a folder, and read as a deploy reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moola_remote.config.settings import Project
from moola_remote.config.typed import typed
from moola_remote.deploy.declared import Dependencies
from moola_remote.deploy.dependencies import read_dependencies, reader_of
from moola_remote.errors import ConfigError


def declared(folder: Path, files: dict[str, str], **settings: Any) -> Dependencies:
    """What the project of these files declares."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    project = typed(Project, {"folder": folder, **settings})
    return read_dependencies(project, reader_of(folder))


def refused(folder: Path, files: dict[str, str], **settings: Any) -> str:
    """The one line that refuses the project of these files."""
    with pytest.raises(ConfigError) as caught:
        declared(folder, files, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)
