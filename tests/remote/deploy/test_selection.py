"""Which files travel, and what is said of the others."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from moola_remote.deploy import git
from moola_remote.deploy.git import is_in_git
from moola_remote.deploy.left_out import SkipReport
from moola_remote.deploy.selection import list_tree
from moola_remote.errors import ConfigError
from tests.support.odd_names import ODD_NAMES

pytestmark = pytest.mark.process

NAMES = [
    *ODD_NAMES,
    "n" * 255,
    os.fsdecode(b"caf\xe9"),  # latin-1, as an archive from another machine brings it
]


def _git(folder: Path, *args: str) -> None:
    identity = ("-c", "user.name=x", "-c", "user.email=x@x", "-c", "protocol.file.allow=always")
    command = ["git", "-C", str(folder), *identity, *args]
    subprocess.run(command, check=True, capture_output=True)


def _write(folder: Path, *names: str, text: str = "x") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _listed(folder: Path, **options: object) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    leavings = SkipReport()
    entries = list_tree(folder, leavings=leavings, **options)  # type: ignore[arg-type]
    return [entry.path for entry in entries], {left.rule: left.paths for left in leavings.all()}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    _git(folder, "init", "-q")
    return folder


def test_git_decides_about_tracked_untracked_and_ignored_files(repository: Path) -> None:
    _write(repository, "tracked", "untracked", "ignored.log", "data/x", "forced.log")
    _write(repository, ".gitignore", text="*.log\n/data/\n")
    _git(repository, "add", "-f", "tracked", "forced.log")
    listed, left = _listed(repository)
    assert listed == [".gitignore", "forced.log", "tracked", "untracked"]
    assert left == {"ignored by git": ("data/", "ignored.log")}


def test_what_is_left_out_has_its_size_by_rule(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(repository, "a", "x.log", "data/y", "data/deep/z", text="12345")
    _write(repository, ".env", text="K=1")
    _write(repository, ".gitignore", text="*.log\n/data/\n")

    def sizes() -> dict[str, int]:
        leavings = SkipReport()
        list_tree(repository, leavings=leavings)
        return {left.rule: left.size for left in leavings.all()}

    assert sizes() == {"ignored by git": 15, "looks like a secret": 3}
    monkeypatch.setattr(git, "SIZED_FILES", 2)  # too many to look at: no size is better
    assert sizes() == {"ignored by git": 0, "looks like a secret": 3}


def test_a_tracked_file_that_was_deleted_is_passed_over(repository: Path) -> None:
    _write(repository, "a", "gone")
    _git(repository, "add", ".")
    (repository / "gone").unlink()
    assert _listed(repository)[0] == ["a"]


@pytest.mark.parametrize("ignore_file", [".moolaignore", ".gitignore", "x"])
def test_a_tracked_folder_that_a_file_replaced_is_that_file(
    repository: Path, ignore_file: str
) -> None:
    _write(repository, "top/d/deep/x", f"top/d/{ignore_file}", "kept")
    _git(repository, "add", ".")
    _git(repository, "commit", "-qm", "all")
    shutil.rmtree(repository / "top" / "d")
    _write(repository, "top/d")
    assert _listed(repository)[0] == ["kept", "top/d"]
    (repository / "top" / "d").unlink()
    os.mkfifo(repository / "top" / "d")
    assert _listed(repository)[0] == ["kept"]


@pytest.mark.parametrize("target", ["moved/d", "/nowhere", "{outside}"])
def test_a_tracked_folder_that_a_link_replaced_is_that_link(
    target: str, repository: Path, tmp_path: Path
) -> None:
    _write(repository, "d/a", "d/deep/b")
    _git(repository, "add", ".")
    outside = tmp_path / "outside"
    for moved in (repository / "moved" / "d", outside):
        _write(moved, "a", "deep/b")
    for name in ("d/a", "d/deep/b"):
        (repository / name).unlink()
    (repository / "d/deep").rmdir()
    (repository / "d").rmdir()
    (repository / "d").symlink_to(target.format(outside=outside))
    listed, _ = _listed(repository)
    expected = ["moved/d/a", "moved/d/deep/b"]
    assert listed == (["d", *expected] if target == "moved/d" else expected)


@pytest.mark.parametrize("in_git", [True, False])
def test_odd_names_are_listed_as_they_are(in_git: bool, repository: Path, tmp_path: Path) -> None:
    folder = repository if in_git else tmp_path / "plain"
    _write(folder, *NAMES, "folder with 'q'/a\tb")
    assert is_in_git(folder) == in_git
    assert _listed(folder)[0] == sorted([*NAMES, "folder with 'q'/a\tb"], key=os.fsencode)


@pytest.mark.parametrize("in_git", [True, False])
def test_an_odd_name_that_stays_is_named(in_git: bool, repository: Path, tmp_path: Path) -> None:
    folder = repository if in_git else tmp_path
    odd = os.fsdecode(b"caf\xe9.key")
    _write(folder, "a", odd)
    leavings = SkipReport()
    assert [entry.path for entry in list_tree(folder, leavings=leavings)] == ["a"]
    (left,) = leavings.all()
    assert left.paths == (odd,)
    assert r"caf\udce9.key" in str(left)


def test_a_sub_folder_of_a_repository_is_listed_below_itself(repository: Path) -> None:
    _write(repository, "top", "project/a", "project/b.log", ".gitignore", text="*.log\n")
    assert _listed(repository / "project")[0] == ["a"]


def test_repositories_inside_are_listed_too(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    _git(other, "init", "-q")
    _write(other, "lib.py", ".gitignore", "x.log", text="*.log\n")
    _git(other, "add", ".")
    _git(other, "commit", "-qm", "x")
    _git(repository, "submodule", "add", "-q", str(other), "vendor/sub")
    nested = repository / "nested"
    nested.mkdir()
    _git(nested, "init", "-q")
    _write(nested, "n.py")
    listed, _ = _listed(repository)
    expected = [".gitmodules", "nested/n.py", "vendor/sub/.gitignore", "vendor/sub/lib.py"]
    assert listed == expected


def test_a_submodule_that_is_not_there_is_an_empty_folder(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    _git(other, "init", "-q")
    _write(other, "lib.py")
    _git(other, "add", ".")
    _git(other, "commit", "-qm", "x")
    _git(repository, "submodule", "add", "-q", str(other), "sub")
    _git(repository, "commit", "-qm", "x")
    clone = tmp_path / "clone"
    _git(tmp_path, "clone", "-q", str(repository), str(clone))
    assert _listed(clone)[0] == [".gitmodules", "sub"]


def test_a_submodule_without_its_git_is_files_of_the_project(
    repository: Path, tmp_path: Path
) -> None:
    nested = repository / "vendor" / "lib"
    nested.mkdir(parents=True)
    _git(nested, "init", "-q")
    _write(nested, "lib.py", "x.log", ".gitignore", text="*.log\n")
    _git(nested, "add", ".")
    _git(nested, "commit", "-qm", "x")
    _git(repository, "add", ".")
    (nested / ".git").rename(tmp_path / "gone")
    (nested / "empty").mkdir()
    listed, left = _listed(repository)
    assert listed == ["vendor/lib/.gitignore", "vendor/lib/empty", "vendor/lib/lib.py"]
    assert left == {}


def test_a_file_that_a_folder_replaced_is_no_submodule(repository: Path) -> None:
    _write(repository, "a", ".gitignore", text="*.log\n")
    _git(repository, "add", ".")
    (repository / "a").unlink()
    _write(repository, "a/b", "a/c.log")
    listed, left = _listed(repository)
    assert listed == [".gitignore", "a/b"]
    assert left == {"ignored by git": ("a/c.log",)}


def test_a_folder_that_a_repository_above_ignores_is_none_of_it(repository: Path) -> None:
    _write(repository, ".gitignore", text="*\n")
    _write(repository, "work/project/a", "work/project/b.log")
    _write(repository, "work/project/.gitignore", text="*.log\n")
    folder = repository / "work" / "project"
    assert not is_in_git(folder)
    assert _listed(folder)[0] == [".gitignore", "a"]
    _git(repository, "add", "-f", "work/project/a")
    assert is_in_git(folder)
    assert _listed(folder)[0] == ["a"]


def test_a_worktree_is_listed_as_the_repository_is(repository: Path, tmp_path: Path) -> None:
    _write(repository, "a")
    _git(repository, "add", ".")
    _git(repository, "commit", "-qm", "x")
    _git(repository, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    _write(tmp_path / "tree", "b")
    assert _listed(tmp_path / "tree")[0] == ["a", "b"]


def test_a_hooks_variables_do_not_lead_to_another_repository(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(repository, "a")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "nothing"))
    assert _listed(repository)[0] == ["a"]


@pytest.mark.parametrize("is_file", [True, False])
def test_what_the_users_own_configuration_ignores_stays(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_file: bool
) -> None:
    _write(repository, "code.py", "scratch/big")
    (tmp_path / "ignored").write_text("scratch/\n")
    if is_file:
        settings = tmp_path / "gitconfig"
        settings.write_text(f"[core]\nexcludesFile = {tmp_path}/ignored\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    else:
        monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
        monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.excludesFile")
        monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(tmp_path / "ignored"))
    assert _listed(repository)[0] == ["code.py"]


@pytest.mark.parametrize("kind", ["data", "code", "git", "tracked"])
def test_a_folder_that_may_not_be_read_is_named(as_nobody: Path, kind: str) -> None:
    closed = as_nobody / "top" / "closed"
    _write(as_nobody, "top/closed/x", "a")
    if kind in ("git", "tracked"):
        _git(as_nobody, "init", "-q")
    if kind == "tracked":
        _git(as_nobody, "add", ".")
    closed.chmod(0)
    try:
        with pytest.raises(ConfigError) as caught:
            _listed(as_nobody, with_ignores=kind != "data")
        assert caught.value.message.startswith(f"{closed}")
        assert "can't be read, Permission denied" in caught.value.message
        if kind != "data":
            (as_nobody / ".gitignore").write_text("/top/closed/\n")
            if kind == "tracked":
                _git(as_nobody, "rm", "-rq", "--cached", "top/closed")
            assert _listed(as_nobody)[0] == [".gitignore", "a"]
    finally:
        closed.chmod(0o700)


def test_moolaignore_holds_back_what_git_tracks(repository: Path) -> None:
    _write(repository, "a", "big/x", "big/keep")
    _write(repository, ".moolaignore", text="big/*\n!big/keep\n")
    _git(repository, "add", ".")
    assert _listed(repository)[0] == [".moolaignore", "a", "big/keep"]


def test_outside_git_ignore_files_count_below_their_folder(tmp_path: Path) -> None:
    _write(tmp_path, "a.log", "sub/a.log", "sub/b", "sub/deep/b", "out/x", "keep/out/x")
    _write(tmp_path, ".gitignore", text="*.log\n/out/\n")
    _write(tmp_path, "sub/.gitignore", text="/b\n!a.log\n")
    listed, _ = _listed(tmp_path)
    assert listed == [".gitignore", "keep/out/x", "sub/.gitignore", "sub/a.log", "sub/deep/b"]


def test_secrets_stay_and_are_named(repository: Path) -> None:
    _write(repository, ".env", "conf/prod.pem", "id_rsa", "code.py", ".env.example")
    _write(repository, "notes.txt", text="-----BEGIN OPENSSH PRIVATE KEY-----\nx")
    _git(repository, "add", ".")
    listed, left = _listed(repository)
    assert listed == [".env.example", "code.py"]
    assert left == {"looks like a secret": (".env", "conf/prod.pem", "id_rsa", "notes.txt")}


def test_environments_tools_folders_and_results_stay(tmp_path: Path) -> None:
    _write(tmp_path, "a", "my env/pyvenv.cfg", "my env/lib/x", "p/__pycache__/x", "node_modules/x")
    _write(tmp_path, "out/results/x", "results.txt", ".git/config")
    listed, left = _listed(tmp_path, exclude=["out/results"], with_ignores=False)
    assert listed == ["a", "results.txt"]
    assert left["results"] == ("out/results/x",)
    assert len(left["tools' folders and virtual environments"]) == 4


def test_links_inside_travel_and_links_outside_stay(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    _write(folder, "sub/a")
    (folder / "in").symlink_to("sub/a")
    (folder / "in-folder").symlink_to("sub")
    (folder / "sub/up").symlink_to("../in")
    for name, target in (("out", "../x"), ("abs", str(folder / "sub")), ("sub/far", "../../x")):
        (folder / name).symlink_to(target)
    listed, left = _listed(folder)
    assert listed == ["in", "in-folder", "sub/a", "sub/up"]
    assert left == {"links that leave the tree": ("abs", "out", "sub/far")}


def test_what_is_neither_file_nor_link_stays(tmp_path: Path) -> None:
    _write(tmp_path, "a")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "sock"))
        listed, left = _listed(tmp_path)
    assert listed == ["a"]
    assert left == {"neither file nor link": ("fifo", "sock")}


@pytest.mark.parametrize("is_in_git", [True, False])
def test_empty_folders_travel_unless_they_are_ignored(tmp_path: Path, is_in_git: bool) -> None:
    if is_in_git:
        _git(tmp_path, "init", "-q")
        _git(tmp_path / ".", "init", "-q", "inner")
        (tmp_path / "inner" / "hollow").mkdir()
    for name in ("out", "a b\nc", "deep/er", "build", "pkg/build", "cache/x", "env", "results"):
        (tmp_path / name).mkdir(parents=True)
    _write(tmp_path, "cache/ignored.log", "full/only.log")
    _write(tmp_path, ".gitignore", text="build/\n*.log\n/cache/\n")
    _write(tmp_path, ".moolaignore", text="env/\n")
    listed, _ = _listed(tmp_path, exclude=["results"])
    folders = [path for path in listed if (tmp_path / path).is_dir()]
    assert folders == ["a b\nc", "deep/er", *(["inner/hollow"] if is_in_git else []), "out"]


def test_an_ignore_file_of_ours_counts_below_its_folder_in_git_too(repository: Path) -> None:
    _write(repository, "a/big.bin", "a/code.py", "b/big.bin", "a/deep/big.bin", "a/deep/keep.bin")
    _write(repository, "a/.moolaignore", text="*.bin\n")
    _write(repository, "a/deep/.moolaignore", text="!keep.bin\n")
    paths, _ = _listed(repository)
    assert [path for path in paths if not path.endswith("ignore")] == [
        "a/code.py",
        "a/deep/keep.bin",
        "b/big.bin",
    ]


def test_a_pointer_of_git_lfs_is_not_sent_in_place_of_its_content(repository: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
    _write(repository, "weights.bin", "data/set.csv", text=pointer)
    _write(repository, "code.py")
    paths, left = _listed(repository)
    assert paths == ["code.py"]
    assert left == {
        "Git LFS pointers, whose content is not here (git lfs pull)": (
            "data/set.csv",
            "weights.bin",
        )
    }
    assert _listed(repository / "data", with_ignores=False)[0] == []


def test_a_submodule_that_is_not_checked_out_is_named_with_its_cure(
    repository: Path, tmp_path: Path
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    _git(inner, "init", "-q")
    _write(inner, "lib.py")
    _git(inner, "add", ".")
    _git(inner, "commit", "-qm", "one")
    _git(repository, "submodule", "add", "-q", str(inner), "libs/inner")
    _git(repository, "commit", "-qam", "one")
    assert "libs/inner/lib.py" in _listed(repository)[0]
    clone = tmp_path / "clone"
    _git(tmp_path, "clone", "-q", str(repository), str(clone))
    _, left = _listed(clone)
    rule = "submodules that are not checked out (git submodule update --init)"
    assert left == {rule: ("libs/inner",)}


def test_a_worktree_is_as_good_as_a_repository(repository: Path, tmp_path: Path) -> None:
    _write(repository, "code.py", ".gitignore", text="*.tmp\n")
    _git(repository, "add", ".")
    _git(repository, "commit", "-qm", "one")
    other = tmp_path / "other"
    _git(repository, "worktree", "add", "-q", str(other))
    _write(other, "new.py", "old.tmp")
    assert _listed(other)[0] == [".gitignore", "code.py", "new.py"]


def test_a_worktree_whose_repository_is_gone_is_one_line(tmp_path: Path) -> None:
    _write(tmp_path, ".git", text="gitdir: /no/such/repository/.git/worktrees/x\n")
    with pytest.raises(ConfigError, match=r"not a git repository.*; git worktree repair"):
        _listed(tmp_path)


@pytest.mark.parametrize(
    ("damage", "cure"),
    [
        (lambda git: (git / "HEAD").write_bytes(b""), "its .git is damaged: repair it"),
        (lambda git: (git / "index").write_bytes(b"cut"), "rm .git/index, then git reset"),
    ],
)
def test_a_damaged_repository_is_one_line_that_costs_nobody_its_history(
    repository: Path, damage: Callable[[Path], object], cure: str
) -> None:
    _write(repository, "a")
    _git(repository, "add", ".")
    damage(repository / ".git")
    with pytest.raises(ConfigError) as caught:
        _listed(repository)
    assert caught.value.cure.startswith(cure)
    assert "remove the .git" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bare_repository_beside_its_trees_names_the_way_out(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q", "--bare", ".bare")
    _write(tmp_path, ".git", text="gitdir: .bare\n")
    with pytest.raises(ConfigError, match="change to a working tree of it"):
        _listed(tmp_path)


def test_another_working_tree_of_the_same_repository_stays(
    repository: Path, tmp_path: Path
) -> None:
    _write(repository, "a")
    _git(repository, "add", ".")
    _git(repository, "commit", "-qm", "x")
    _git(repository, "worktree", "add", "-q", "trees/other", "-b", "other")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    _git(foreign, "init", "-q")
    _write(foreign, "b")
    _git(foreign, "add", ".")
    _git(foreign, "commit", "-qm", "x")
    _git(foreign, "worktree", "add", "-q", str(repository / "vendor"), "-b", "other")
    names, left = _listed(repository)
    assert names == ["a", "vendor/b"]
    assert left["other working trees of this repository"] == ("trees/other",)
    # From within that tree it is the one that is sent.
    assert _listed(repository / "trees" / "other")[0] == ["a"]


def test_what_git_ignores_is_named_once(repository: Path) -> None:
    _write(repository, "a/.gitignore", text="*.csv\n")
    _write(repository, "a/b/one.csv", "a/b/two.csv", "a/c.csv")
    assert _listed(repository)[1]["ignored by git"] == ("a/b/", "a/c.csv")
