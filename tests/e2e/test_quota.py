"""A quota that is used up, of the pod or of this machine: one line that names it, nothing lost."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.ssh.endpoint import Endpoint
from tests.e2e.conftest import end_runs
from tests.support.projects import Project, make_project
from tests.support.quotas import missing_for_quota, quota_folder, set_limit

pytestmark = [pytest.mark.e2e, pytest.mark.process]
MEGABYTE = 1 << 20
# Its log has no room either; how it ends is known all the same.
FILLS = 'echo one >"$MOOLA_RUN_DIR/kept"; cat /dev/zero >"$MOOLA_RUN_DIR/big"; exit 7'


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Path]:
    """A folder with a quota of 64 MB."""
    if missing_for_quota():
        pytest.skip(f"a quota needs {missing_for_quota()}")
    (tmp_path / "volume").mkdir()
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(quota_folder(tmp_path / "volume", 64 * MEGABYTE))
        except OSError as err:  # a container without the right to mount
            pytest.skip(f"no quota here: {err}")
        yield folder


def test_a_pod_whose_quota_is_used_up(
    limited: Path, openssh_server: Endpoint, tmp_path: Path
) -> None:
    host = dataclasses.replace(openssh_server, root=str(limited / "root"))
    project = make_project(tmp_path / "project", tmp_path / "state", host, "host")
    large = project.folder / "data" / "numbers" / "large"
    large.write_bytes(os.urandom(80 * MEGABYTE))
    assert "Disk quota exceeded" in project.refused(14, "deploy")
    large.unlink()
    done = project.run("run", "--", "sh", "-c", FILLS)
    assert done.returncode == 20, done.stderr
    assert "FAILED: exit code 7" in done.stderr  # recorded out of the reserve
    assert "Disk quota exceeded" in project.refused(14, "run", "--", "true")
    (state,) = project.json("runs")
    assert (state["state"], state["returncode"]) == ("FAILED", 7)
    folder = Path(project.ok("fetch", "results").splitlines()[0])
    assert (folder / "kept").read_text() == "one\n"
    set_limit(limited, None)
    assert project.run("run", "--", "true").returncode == 0
    end_runs(host)


def test_results_over_the_quota_of_this_machine(
    limited: Path, local_project: Project, tmp_path: Path
) -> None:
    size = 80 * MEGABYTE
    program = f'echo one >"$MOOLA_RUN_DIR/a"; head -c {size} /dev/urandom >"$MOOLA_RUN_DIR/b"'
    local_project.ok("run", "--", "sh", "-c", program)
    (limited / "results").mkdir()
    (local_project.folder / "results").symlink_to(limited / "results")
    line = local_project.refused(14, "fetch", "results")
    assert "on this machine: its quota is used up; free some space" in line
    set_limit(limited, None)
    folder = Path(local_project.ok("fetch", "results").splitlines()[0])
    assert (folder / "a").read_text() == "one\n"
    assert (folder / "b").stat().st_size == size
