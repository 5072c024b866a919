"""The code of past runs on the laptop: given back byte for byte, or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from moola_remote.deploy.code_store import Archive
from moola_remote.deploy.snapshot import Tree, code_tree
from moola_remote.errors import ConfigError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "a b\n.py").write_bytes(b"\0\xff")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("pkg")
    (folder / "hollow").mkdir()
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "snapshots")


def test_a_snapshot_comes_back_as_the_very_same(
    project: Path, archive: Archive, tmp_path: Path
) -> None:
    tree = code_tree(project)
    archive.keep(tree)
    (project / "run.sh").write_text("changed")
    restored = archive.restore(tree.digest, tmp_path / "again")
    assert code_tree(tmp_path / "again").digest == tree.digest == restored.digest
    assert restored.files == tree.files


def test_equal_files_are_kept_once(project: Path, archive: Archive) -> None:
    archive.keep(code_tree(project))
    (project / "new.py").write_text("x")
    archive.keep(code_tree(project))
    assert len(list((archive.folder / "files").iterdir())) == 4


def test_what_changed_meanwhile_is_not_kept(project: Path, archive: Archive) -> None:
    tree = code_tree(project)
    (project / "run.sh").write_text("changed")
    with pytest.raises(ConfigError, match=r"run\.sh: changed while its run was started"):
        archive.keep(tree)
    assert not archive.has(tree.digest)


def _spoil_file(archive: Archive, tree: Tree) -> None:
    (archive.folder / "files" / tree.files[-1].sha256).write_text("other")


def _lose_file(archive: Archive, tree: Tree) -> None:
    (archive.folder / "files" / tree.files[-1].sha256).unlink()


def _spoil_list(archive: Archive, tree: Tree) -> None:
    path = archive.folder / f"{tree.digest}.json"
    path.write_text(path.read_text().replace("run.sh", "../../run.sh"))


@pytest.mark.parametrize("spoil", [_spoil_file, _lose_file, _spoil_list])
def test_what_was_damaged_is_not_given_back(
    project: Path, archive: Archive, tmp_path: Path, spoil: object
) -> None:
    tree = code_tree(project)
    archive.keep(tree)
    assert callable(spoil)
    spoil(archive, tree)
    with pytest.raises(ConfigError, match=r"damaged|can't be|is not the list"):
        archive.restore(tree.digest, tmp_path / "again")


def test_what_nobody_needs_goes_once_it_is_old(
    project: Path, archive: Archive, tmp_path: Path
) -> None:
    first = code_tree(project)
    archive.keep(first)
    (project / "new.py").write_bytes(b"x" * 1000)
    second = code_tree(project)
    archive.keep(second)
    now = time.time()
    assert archive.prune({first.digest}, now - 60) == 0  # young
    for path in archive.folder.rglob("*"):
        os.utime(path, (now - 120, now - 120))
    freed = archive.prune({first.digest}, now - 60, dry_run=True)
    assert freed > 1000
    assert archive.has(second.digest)
    assert archive.prune({first.digest}, now - 60) == freed
    assert not archive.has(second.digest)
    assert len(list((archive.folder / "files").iterdir())) == len(first.files) - 1  # no folder
    archive.restore(first.digest, tmp_path / "again")
    archive.keep(first)  # a new run of it: young again
    assert archive.prune(set(), now - 60) == 0
    assert archive.has(first.digest)
