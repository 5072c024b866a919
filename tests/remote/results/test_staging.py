"""The folder where files arrive, and how they are promoted from it."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from moola_remote.errors import TransferError
from moola_remote.results import staging
from moola_remote.results.staging import move, promote, real_folder, staging_folder, sweep
from moola_remote.rsync.argv import PARTIAL_DIR
from tests.support.fetching import RUN


def write(top: Path, *names: str) -> None:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)


def below(top: Path) -> list[str]:
    return sorted(path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file())


def test_two_fetches_of_a_run_never_share_its_folder(tmp_path: Path) -> None:
    with staging_folder(tmp_path, RUN) as (staging, _):
        assert staging.is_dir()
        refused = "another fetch of it is in progress; wait for it"
        with pytest.raises(TransferError, match=refused), staging_folder(tmp_path, RUN):
            pytest.fail("both are in it")
    with staging_folder(tmp_path, RUN) as (again, _):
        assert again == staging


def test_a_folder_that_was_promoted_before_it_was_locked_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def late(fd: int, how: int) -> None:
        (tmp_path / f".staging-{RUN}").rename(tmp_path / RUN)
        (tmp_path / f".staging-{RUN}").mkdir()
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(TransferError, match="in progress"), staging_folder(tmp_path, RUN):
        pytest.fail("it writes into what was promoted")


def test_only_wanted_files_stay_whole_or_in_part(tmp_path: Path) -> None:
    write(tmp_path, "a", "sub/b", f"sub/{PARTIAL_DIR}/c", "old", f"{PARTIAL_DIR}/old")
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "pipe")
    removed = sweep(tmp_path, {"a", "sub/b", "sub/c", "link", "pipe"})
    assert sorted(removed) == [f"{PARTIAL_DIR}/old", "link", "old", "pipe"]
    assert below(tmp_path) == ["a", f"sub/{PARTIAL_DIR}/c", "sub/b"]
    assert not (tmp_path / "link").is_symlink()


def test_what_has_come_whole_appears_at_once_without_what_rsync_left(tmp_path: Path) -> None:
    staging, final = tmp_path / "staging", tmp_path / "final"
    write(staging, "a", "sub/b", f"sub/{PARTIAL_DIR}/b")
    (staging / "empty" / "deeper").mkdir(parents=True)
    promote(staging, final, ["a", "sub/b"], is_whole=True)
    assert not staging.exists()
    assert below(final) == ["a", "sub/b"]
    assert sorted(path.name for path in final.iterdir()) == ["a", "sub"]


@pytest.mark.parametrize("has_syncfs", [True, False])  # macOS has none
def test_of_many_files_each_is_flushed_before_it_is_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_syncfs: bool
) -> None:
    flushed, disks = [], []

    def fsync(fd: int) -> None:
        flushed.append(os.fstat(fd).st_ino)

    def syncfs(fd: int) -> None:
        assert not flushed
        disks.append(os.fstat(fd).st_dev)

    library = SimpleNamespace(**({"syncfs": syncfs} if has_syncfs else {}))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(staging, "FLUSHED_FROM", 2)
    write(tmp_path / "staging", "a", "sub/b")
    promote(tmp_path / "staging", tmp_path / RUN, ["a", "sub/b"], is_whole=True)
    assert {(tmp_path / RUN / name).stat().st_ino for name in ("a", "sub/b")} < set(flushed)
    assert disks == [tmp_path.stat().st_dev] * has_syncfs


@pytest.mark.parametrize("is_there", [False, True])
def test_of_what_came_in_part_the_rest_waits_in_its_folder(tmp_path: Path, is_there: bool) -> None:
    staging, final = tmp_path / "staging", tmp_path / "final"
    write(staging, "a", "sub/b", f"sub/{PARTIAL_DIR}/c")
    if is_there:
        write(final, "before")
    promote(staging, final, ["a", "sub/b"], is_whole=False)
    assert below(staging) == [f"sub/{PARTIAL_DIR}/c"]
    assert below(final) == ["a", *["before"] * is_there, "sub/b"]


def test_what_is_whole_joins_what_is_there_and_leaves_no_folder(tmp_path: Path) -> None:
    staging, final = tmp_path / "staging", tmp_path / "final"
    write(staging, "sub/b")
    write(final, "before")
    promote(staging, final, ["sub/b"], is_whole=True)
    assert not staging.exists()
    assert below(final) == ["before", "sub/b"]


def test_to_another_disk_a_file_is_copied_and_other_errors_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "source", "dest")
    rename, code = Path.rename, errno.EACCES

    def cross(self: Path, target: Path) -> Path:
        if self.name == "source":
            raise OSError(code, os.strerror(code))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", cross)
    with pytest.raises(PermissionError):
        move(tmp_path / "source", tmp_path / "dest")
    assert (tmp_path / "dest").read_text() == "dest"
    code = errno.EXDEV
    move(tmp_path / "source", tmp_path / "dest")
    assert below(tmp_path) == ["dest"]
    assert (tmp_path / "dest").read_text() == "source"


@pytest.mark.parametrize("kind", ["link", "file"])
def test_no_part_of_a_folder_is_a_link_or_a_file(tmp_path: Path, kind: str) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    outside.mkdir()
    if kind == "link":
        (top / "sub").symlink_to(outside)
    else:
        (top / "sub").touch()
    with pytest.raises(TransferError, match="sub: expected a folder; move it away"):
        real_folder(top, "sub/deeper")
    assert not any(outside.iterdir())
    assert real_folder(top, "a/b") == top / "a" / "b"
    assert real_folder(top, "") == top
