"""The checks of doctor: a fault is reported once, and hides what can't be known without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moola_remote.doctor.checks import CHECKS, Check, run_checks
from moola_remote.errors import UnreachableError
from moola_remote.pods.pod import Pod
from tests.support.projects import Project, make_project

pytestmark = pytest.mark.process


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = make_project(tmp_path / "project", tmp_path / "state")
    monkeypatch.setenv("MOOLA_STATE_DIR", str(project.state))
    monkeypatch.chdir(project.folder)
    return project


def test_a_connection_that_fails_is_the_last_thing_reported(files: Project) -> None:
    findings = run_checks(Pod("host"))
    assert {finding.name: finding.is_ok for finding in findings} == {
        "rsync here": True,
        "project": True,
        "data": True,
        "pod": True,
        "SSH connection": False,
    }
    assert "connection refused; is the pod running" in findings[-1].details


def test_a_fault_that_names_no_cure_is_given_one(
    files: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Pod) -> str:
        raise UnreachableError("x: no route")

    monkeypatch.setattr("moola_remote.doctor.checks.CHECKS", (Check("route", fail),))
    (finding,) = run_checks(Pod("host"))
    assert finding.details == "x: no route; see more with: moola-remote -v doctor"


def test_missing_data_hides_nothing_else(files: Project) -> None:
    shutil.rmtree(files.folder / "data")
    findings = {finding.name: finding for finding in run_checks(Pod("host"))}
    assert not findings["data"].is_ok
    assert findings["pod"].is_ok


def test_a_folder_without_settings_is_a_project_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("moola_remote.doctor.checks.CHECKS", CHECKS[:4])
    findings = {finding.name: finding.is_ok for finding in run_checks(Pod())}
    assert findings == {"rsync here": True, "project": True, "data": True, "pod": True}
