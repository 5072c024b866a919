"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moola_remote.files import atomic
from tests.support.small_disks import disk_or_skip


def test_two_threads_that_write_one_file_at_once_both_succeed(tmp_path: Path) -> None:
    """Two followers share a journal; an aside named by the process alone is renamed away."""
    path = tmp_path / "file"
    contents = [str(number) * 1000 for number in range(10)]

    def write(turn: int) -> None:
        atomic.write(path, contents[turn % 10], sync=False)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(500)))
    assert path.read_text() in contents
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_block_that_raises_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic.write(path, "old")

    def stop_half_way() -> None:
        with atomic.replacing(path) as aside:
            aside.write_text("new")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        stop_half_way()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("sync", [True, False])
def test_content_is_on_the_disk_before_it_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    path = tmp_path / "file"
    atomic.write(path, "old")
    flushed: list[tuple[bytes, str]] = []

    def fsync(fd: int) -> None:
        (aside,) = tmp_path.glob(".file.*")
        assert os.path.samestat(os.fstat(fd), aside.stat())
        flushed.append((aside.read_bytes(), path.read_text()))

    monkeypatch.setattr(os, "fsync", fsync)
    atomic.write(path, "néw", mode=0o640, sync=sync)
    assert flushed == [("néw".encode(), "old")] * sync
    assert path.read_text(encoding="utf-8") == "néw"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.process
def test_a_read_only_disk_names_the_file_and_not_its_temporary_name(tmp_path: Path) -> None:
    with disk_or_skip(tmp_path / "disk", megabytes=1) as disk:
        atomic.write(disk / "file", "old")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(OSError, match="Read-only file system") as caught:
            atomic.write(disk / "file", "new")
        assert str(caught.value.filename) == str(disk / "file")
        assert (disk / "file").read_text() == "old"
