"""A full disk of the laptop: one line that says what to do, and no file is left in half."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moola_remote.agent.files import says_full, write_error
from moola_remote.cli.error_handler import run
from moola_remote.config.settings import find_project
from moola_remote.files.disk import full_disk, unwritable
from moola_remote.rsync.output import failure
from moola_remote.runs.local_state import LastSeen, LocalRun
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.keeping import keeping
from tests.support.masters import end_masters
from tests.support.pods import AgentPod, wait_until
from tests.support.projects import Project, make_project
from tests.support.small_disks import disk_or_skip, small_disk
from tests.support.sweeps import SweepProject, sweep_project

pytestmark = [pytest.mark.e2e, pytest.mark.process]
ROOM = "make room there, then run this again"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB; only root can make one."""
    with disk_or_skip(tmp_path / "disk", megabytes=4) as disk:
        yield disk


@pytest.fixture
def fill(disk: Path) -> Callable[[], None]:
    """Leave no room on the disk."""

    def fill_up() -> None:
        with (disk / "filler").open("ab", buffering=0) as file:
            while (room := os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize) > 0:
                file.write(b"x" * room)

    return fill_up


@pytest.mark.parametrize("name", ["pyproject.toml", None])
def test_settings_are_written_whole_or_not_at_all(
    disk: Path, fill: Callable[[], None], tmp_path: Path, name: str | None
) -> None:
    project = Project(disk / "project", tmp_path / "state")
    project.write("train.py", "")
    text = "#" * 4090  # of a page, in which nine bytes are left
    if name:
        project.write(name, text)
    fill()
    line = project.refused(10, "init")
    written = project.folder / (name or "moola-remote.toml")
    assert line == f"error: {written}: can't be written, No space left on device; {ROOM}"
    assert sorted(path.name for path in project.folder.iterdir()) == sorted(
        filter(None, ["train.py", name])
    )
    assert not name or written.read_text() == text
    (disk / "filler").unlink()
    project.ok("init")
    assert find_project(project.folder).file == written


def test_the_file_of_a_pod_is_written_whole_or_not_at_all(
    disk: Path, fill: Callable[[], None], tmp_path: Path
) -> None:
    project = make_project(disk / "project", tmp_path / "state")
    fill()
    words = ("pods", "add", "ssh root@203.0.113.7 -p 36470")
    assert ROOM in project.refused(10, *words)
    assert not list(project.folder.glob("configs/pods/*203*"))
    (disk / "filler").unlink()
    project.ok(*words)


def test_a_local_pod_that_finds_no_room_says_so(disk: Path, fill: Callable[[], None]) -> None:
    project = make_project(disk / "project", disk / "state")
    fill()
    line = project.refused(11, "up")
    said = f"pod local: server did not start, the disk of {disk}: no space left; {ROOM}"
    assert line == f"error: {said}"


def test_a_disk_without_inodes_is_not_said_to_lack_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=4m,nr_inodes=8") as is_there:
        if not is_there:
            pytest.skip("needs the right to mount a small file system")
        for number in range(8):
            with contextlib.suppress(OSError):
                (tmp_path / "disk" / str(number)).touch()
        where = f"the disk of {tmp_path / 'disk'}: no inodes left, as df -i shows"
        cure = "remove files there, however small, then run this again"
        with pytest.raises(OSError, match="No space left") as caught:
            (tmp_path / "disk" / "more").touch()
        assert str(full_disk(caught.value, [])) == f"{where}; {cure}"
        assert str(full_disk(OSError(errno.ENOSPC, "x"), [tmp_path / "disk"])).startswith(where)
        said = str(unwritable(tmp_path / "disk" / "more", caught.value))
        assert said.endswith(f"can't be written, no inodes left, as df -i shows; {cure}")
        stderr = b"rsync: mkstemp failed: No space left on device (28)"
        full = failure("pod", 11, stderr, here=tmp_path / "disk")
        place = f"{tmp_path / 'disk'} on this machine"
        assert str(full) == f"{place}: no inodes left, as df -i shows; {cure}"
        of_pod = write_error(tmp_path / "disk", 10)
        assert of_pod == "no inodes left (df -i), No space left on device"
        assert says_full(of_pod)


@pytest.mark.parametrize("words", ["up", "runs"])
def test_a_local_pod_whose_folder_is_read_only_says_so(disk: Path, words: str) -> None:
    project = make_project(disk / "project", disk / "state")
    (disk / "state").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    folder = disk / "state" / "local-pod"
    assert project.refused(14, words) == (
        f"error: {folder}: can't be written, Read-only file system; make {folder} writable for you"
    )


def test_a_read_only_state_folder_hides_no_run(
    disk: Path, openssh_server: Endpoint, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", disk / "state", openssh_server, "host")
    (disk / "state").mkdir()
    run_id = project.ok("run", "--detach", "--", "true").strip()
    wait_until(lambda: AgentPod(Path(openssh_server.root)).stored(run_id)["state"] == "SUCCEEDED")
    notes = LocalRun(disk / "state" / "journals" / "host" / run_id)
    assert notes.seen
    notes.see(LastSeen(notes.seen.at - 600, "QUEUED"))  # so that there is news of it
    end_masters(keeping(disk / "state", 1))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = project.run("runs")
    assert done.returncode == 0, done.stderr
    assert run_id in done.stdout
    assert "note: " in done.stderr
    assert "can't be written, Read-only file system; make " in done.stderr


def test_no_room_for_temporary_files_is_said(
    disk: Path,
    fill: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = make_project(tmp_path / "project", tmp_path / "state")
    fill()
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(disk)])
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr("moola_remote.cli.start.check", lambda *_, **__: tempfile.mkdtemp())
    assert run(["run", "--", "true"]) == 14
    said = capsys.readouterr().err
    assert said == (
        f"error: no folder for temporary files can be written to, tried '{disk}'; "
        "make room there, or name another folder with TMPDIR\n"
    )


@pytest.fixture
def sweeping(
    disk: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SweepProject]:
    with sweep_project(tmp_path / "sweep", tmp_path_factory) as project:
        project.write("pyproject.toml", '[tool.moola-remote]\nresults = "results"\n')
        (project.folder / "results").symlink_to(disk)
        yield project


def test_a_page_that_finds_no_room_hides_no_sweep(sweeping: SweepProject, disk: Path) -> None:
    (disk / "filler").write_bytes(b"x" * 3_400_000)  # room for runs, not for a page
    done = sweeping.run(*sweeping.words("--trials", "2"))
    assert done.returncode == 0, done.stderr
    assert f"report.html: can't be written, No space left on device; {ROOM}" in done.stderr
    assert "then: moola-remote sweep report" in done.stderr
    assert "2 done" in done.stderr
    (disk / "filler").unlink()
    assert Path(sweeping.ok("sweep", "report").strip()).is_file()
