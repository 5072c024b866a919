"""Files of the laptop that can't be read: each is named in a line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.deploy.snapshot import code_tree, data_tree
from moola_remote.errors import ConfigError
from tests.support.git_trees import git, write

pytestmark = pytest.mark.process


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        code_tree(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("text", ["one\n", "another\n", None])
@pytest.mark.parametrize("place", [".", "sub"])
def test_a_tracked_file_is_named(as_nobody: Path, text: str | None, place: str) -> None:
    write(as_nobody, plain="one\n")
    closed = write(as_nobody / place, closed="one\n") / "closed"
    git(as_nobody, "init", "-q")
    git(as_nobody, "add", ".")
    git(as_nobody, "commit", "-qm", "x")
    if text is None:  # not tracked
        git(as_nobody, "rm", "-q", "--cached", f"{place}/closed")
    else:
        closed.write_text(text)
    closed.chmod(0)
    said = refusal(as_nobody)
    assert said == f"{closed}: can't be read, Permission denied; have it ignored, or fix its mode"
    (as_nobody / ".moolaignore").write_text("closed\n")
    tree = code_tree(as_nobody)
    assert [file.path for file in tree.files] == [".moolaignore", "plain"]
    assert tree.source
    assert tree.source.dirty


@pytest.mark.parametrize(
    "name", [".gitignore", "sub/.gitignore", ".git/info/exclude", ".moolaignore"]
)
def test_what_would_be_ignored_is_not_sent(as_nobody: Path, name: str) -> None:
    write(as_nobody / "sub", plain="one\n", secret="two\n")
    git(as_nobody, "init", "-q")
    git(as_nobody, "add", "sub/plain")
    path = as_nobody / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("secret\n")
    # In a project below, the repository's own file is none of the project's.
    for folder in (as_nobody, as_nobody / "sub"):
        path.chmod(0o600)
        names = [file.path for file in code_tree(folder).files]
        assert not any(one.endswith("secret") for one in names) or name == ".moolaignore"
        path.chmod(0)
        if name != ".moolaignore" or folder == as_nobody:
            said = refusal(folder)
            assert Path(name).name in said
            assert "; make it readable for you" in said or "; have it ignored" in said


def test_an_ignore_file_of_the_user_that_may_not_be_read(
    as_nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(as_nobody / "project", plain="one\n", secret="two\n")
    git(folder, "init", "-q")
    own = write(as_nobody / "git", ignore="secret\n") / "ignore"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(as_nobody))
    assert [file.path for file in code_tree(folder).files] == ["plain"]
    own.chmod(0)
    said = refusal(folder)
    assert str(own) in said
    assert said.endswith("; make it readable for you")


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file whose path is longer than Linux takes as one."""
    top = write(tmp_path / "top", plain="one\n")
    folder = os.open(top, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=folder)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)
    yield top
    shutil.rmtree(top)


@pytest.mark.parametrize("kind", ["data", "code", "git"])
def test_a_path_that_is_too_long_is_named_not_left_out(deep: Path, kind: str) -> None:
    if kind == "git":
        git(deep, "init", "-q")
        (deep / ".gitignore").write_text("plain\n")
    with pytest.raises(ConfigError) as caught:
        data_tree({"numbers": deep}) if kind == "data" else code_tree(deep)
    said = str(caught.value)
    assert said.startswith(str(deep))
    assert len(said) < 400
    assert "File name too long" in said
    assert "; move or pack its folder" in said


@pytest.mark.parametrize(("length", "is_sent"), [(4000, True), (4090, False)])
def test_a_path_that_leaves_no_room_for_a_look_beside_it_is_named(
    project: Path, length: int, is_sent: bool
) -> None:
    folder = str(project)
    while length - len(folder) > 250:
        folder += f"/{'d' * 200}"
    folder += f"/{'d' * (length - len(folder) - 3)}"
    Path(folder).mkdir(parents=True)
    Path(folder, "f").write_text("x")
    if is_sent:
        assert any(len(file.path) > 3800 for file in code_tree(project).files)
    else:
        assert "File name too long; move or pack its folder" in refusal(project)
