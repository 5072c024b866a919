"""What a run's record says of its code's state in git, where git is told not to look."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from moola_remote.deploy.snapshot import code_tree
from moola_remote.deploy.source import Source
from tests.support.git_trees import git, write

pytestmark = pytest.mark.process


def source(folder: Path) -> Source:
    found = code_tree(folder).source
    assert found
    return found


def hide(project: Path, flag: str, *names: str) -> None:
    git(project, "update-index", f"--{flag}", *names)
    assert not source(project).dirty


@pytest.mark.parametrize("flag", ["assume-unchanged", "skip-worktree"])
def test_a_change_that_git_was_told_to_overlook_is_recorded(project: Path, flag: str) -> None:
    index = (project / ".git" / "index").read_bytes()
    hide(project, flag, "plain", "sub/other")
    flagged = (project / ".git" / "index").read_bytes()
    assert flagged != index
    before = code_tree(project).digest
    (project / "sub" / "other").write_text("2\n")
    tree = code_tree(project)
    assert tree.digest != before  # it travels
    assert tree.source
    assert tree.source.dirty
    assert "-two\n+2\n" in tree.source.diff
    assert "plain" not in tree.source.diff
    assert (project / ".git" / "index").read_bytes() == flagged  # nothing is changed here
    below = source(project / "sub")
    assert below.dirty
    assert "-two\n+2\n" in below.diff


def test_a_change_within_the_moment_of_the_index_is_recorded(project: Path) -> None:
    """Same size, same time: git then compares what is in the file."""
    file, index = project / "plain", project / ".git" / "index"
    moment = (1_700_000_000, 1_700_000_000)
    text = file.read_text()
    git(project, "config", "core.trustctime", "false")  # nobody can set that time
    os.utime(file, moment)
    git(project, "update-index", "--refresh")
    hide(project, "assume-unchanged", "plain")
    file.write_text(text[::-1].swapcase())
    os.utime(file, moment)
    os.utime(index, moment)
    assert source(project).dirty


def test_what_was_deleted_and_overlooked_is_recorded(project: Path) -> None:
    hide(project, "assume-unchanged", "plain")
    (project / "plain").unlink()
    assert source(project).dirty
    assert "deleted file" in source(project).diff


def test_what_a_sparse_checkout_has_not_is_no_change(project: Path) -> None:
    git(project, "sparse-checkout", "set", "sub")
    assert not (project / "program").exists() or "cone" in git(project, "config", "-l")
    assert not source(project).dirty
    git(project, "sparse-checkout", "set", "--no-cone", "/plain")
    tree = code_tree(project)
    assert [file.path for file in tree.files] == ["plain"]
    assert tree.source
    assert not tree.source.dirty
    write(project / "sub", other="written again\n")  # present although the checkout has it not
    assert source(project).dirty
    assert "+written again" in source(project).diff


def test_an_index_in_parts_is_read(project: Path) -> None:
    git(project, "update-index", "--split-index")
    hide(project, "assume-unchanged", "plain")
    (project / "plain").write_text("another\n")
    assert "+another" in source(project).diff


@pytest.mark.parametrize("name", [":(top)a", "*", "-n", "ä\nb"])
def test_any_name_is_looked_at(project: Path, name: str) -> None:
    write(project, **{name: "one\n"})
    git(project, "add", ".")
    git(project, "commit", "-qm", "odd")
    subprocess.run(
        ["git", "-C", str(project), "update-index", "--assume-unchanged", "-z", "--stdin"],
        input=f"{name}\0".encode(), check=True,
    )  # fmt: skip
    assert not source(project).dirty
    write(project, **{name: "changed\n"})
    assert "+changed" in source(project).diff


@pytest.mark.parametrize("place", ["config", "modules", "diff"])
def test_a_submodule_that_git_was_told_to_overlook_is_recorded(
    project: Path, tmp_path: Path, place: str
) -> None:
    other = write(tmp_path / "other", inner="one\n")
    git(other, "init", "-q")
    git(other, "add", ".")
    git(other, "commit", "-qm", "x")
    git(project, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "lib")
    if place == "modules":
        git(project, "config", "-f", ".gitmodules", "submodule.lib.ignore", "all")
        git(project, "add", ".gitmodules")
    elif place == "config":
        git(project, "config", "submodule.lib.ignore", "dirty")
    else:
        git(project, "config", "diff.ignoreSubmodules", "all")
    git(project, "commit", "-qm", "lib")
    assert not source(project).dirty
    before = code_tree(project).digest
    (project / "lib" / "inner").write_text("two\n")
    assert code_tree(project).digest != before
    assert source(project).dirty
    assert "-dirty" in source(project).diff
    git(project / "lib", "checkout", "-q", ".")
    assert not source(project).dirty
    git(project / "lib", "update-index", "--assume-unchanged", "inner")
    (project / "lib" / "inner").write_text("two\n")
    assert source(project).dirty
