"""Nothing is stopped or removed that has no verified copy on the laptop."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.projects import Project

pytestmark = [pytest.mark.e2e, pytest.mark.process]


def test_a_pod_is_stopped_and_removed_once_everything_was_fetched(alone: Project) -> None:
    hung = alone.ok("train", "--detach", "--set", "end=hang", "--epochs", "1").strip()
    for verb in ("stop", "down"):
        line = alone.refused(14, verb)
        assert f"run {hung} (python -m tiny.train " in line
        assert line.endswith(f"moola-remote cancel {hung}, or {verb} --force")
    alone.ok("cancel", "--grace", "0")

    folder = Path(alone.ok("fetch", "logs").splitlines()[0])
    done = alone.run("stop")
    assert done.returncode == 14
    assert "would be lost" in done.stderr
    assert "files are not here" in done.stderr
    assert f"fetch all {hung}" in done.stderr
    alone.ok("fetch", "all")
    alone.ok("stop")

    (folder / "log").write_text("of mine")  # a copy that was changed is none
    assert ": log" in alone.run("down", "--yes").stderr
    (folder / "log").unlink()
    alone.ok("fetch", "all")
    assert "expected --yes" in alone.refused(2, "down")
    assert "local: removed" in alone.ok("down", "--yes")
    assert "nothing to remove" in alone.ok("down")
    left = [path.name for path in (alone.state / "local-pod").iterdir()]
    assert left == ["server.lock"]


def test_force_stops_and_removes_what_was_not_fetched(alone: Project) -> None:
    alone.ok("run", "--", "echo", "said")
    alone.refused(14, "down", "--yes")
    alone.ok("stop", "--force")
    assert "local: removed" in alone.ok("down", "--yes", "--force")


def test_clean_removes_what_was_fetched_and_refuses_the_rest(alone: Project) -> None:
    first, second = (
        alone.ok("train", "--detach", "--epochs", str(n), "--set", f"end={end}").strip()
        for n, end in ((1, "none"), (2, "late"))
    )
    alone.ok("attach", first)
    line = alone.refused(14, "clean")
    assert f"fetch all {first}" in line  # the other goes on, and is not meant
    command = "python -m tiny.train --config recipes/calm.yaml"
    assert f"run {first} (SUCCEEDED, {command}" in line
    alone.ok("fetch", "all", first)
    assert f"cancel {second}" in alone.refused(14, "clean", second)
    said = alone.run("clean", second).stderr
    assert f"would be lost, {second} ({command}" in said
    (line,) = [one for one in alone.ok("clean", "--dry-run").splitlines() if first in one]
    assert f"  SUCCEEDED, {command}" in line
    assert first in alone.ok("clean")
    assert [run["run_id"] for run in alone.json("runs")] == [second]
    alone.ok("cancel", "--grace", "0")
    assert "expected --yes" in alone.refused(2, "clean", "--force")
    snapshots = alone.state / "snapshots"
    (snapshots / "0123456789abcdef.json").write_text("of a run that never began")
    for path in snapshots.rglob("*"):
        os.utime(path, (1, 1))
    (cleaned,) = alone.json("clean", "--force", "--yes")
    assert cleaned["freed_here"] == len("of a run that never began")
    assert [one["name"] for one in cleaned["removed"]] == [second]
    assert alone.json("runs") == []
    alone.ok("train", "--epochs", "1")  # what a run stands on is still there, or sent again
