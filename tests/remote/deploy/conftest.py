"""A project that is sent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.git_trees import git, write


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a program, a link and a folder."""
    folder = write(tmp_path / "a 'project'", plain="one\n", program="#!/bin/sh\n")
    write(folder / "sub", other="two\n")
    (folder / "program").chmod(0o755)
    (folder / "link").symlink_to("sub/other")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    return folder


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder of a user who is not root, whom no folder is closed to."""
    with tempfile.TemporaryDirectory() as name:
        if os.getuid() == 0:
            os.chown(name, 65534, -1)
            os.seteuid(65534)
        yield Path(name)
        os.seteuid(os.getuid())
