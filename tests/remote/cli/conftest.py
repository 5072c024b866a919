"""A project at the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.projects import Project, make_project


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project, which is the current folder, and whose user has no state yet."""
    project = make_project(tmp_path / "project", tmp_path / "state")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("MOOLA_STATE_DIR", str(project.state))
    return project
