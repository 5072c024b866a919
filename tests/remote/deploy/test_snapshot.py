"""Trees: what they hold, and what they are called."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from moola_remote.deploy import source
from moola_remote.deploy.snapshot import code_tree, data_tree
from moola_remote.deploy.source import read_source
from moola_remote.errors import ConfigError, LimitError
from moola_remote.files import hashing
from tests.support.git_trees import git, write

pytestmark = pytest.mark.process


def test_the_digest_is_that_of_the_protocol(project: Path) -> None:
    def record(mode: str, content: bytes, path: str) -> bytes:
        return f"{mode} {hashlib.sha256(content).hexdigest()} {path}\0".encode()

    records = [
        record("120000", b"sub/other", "link"),
        record("100644", b"one\n", "plain"),
        record("100755", b"#!/bin/sh\n", "program"),
        record("100644", b"two\n", "sub/other"),
    ]
    expected = hashlib.sha256(b"".join(records)).hexdigest()[:16]
    tree = code_tree(project)
    assert tree.digest == expected
    assert tree.size == len("sub/other") + 4 + 10 + 4


def test_the_digest_follows_content_names_modes_and_links_alone(project: Path) -> None:
    digests = [code_tree(project).digest]
    os.utime(project / "plain", ns=(1, 1))
    assert code_tree(project).digest == digests[0]
    (project / "plain").chmod(0o755)
    digests.append(code_tree(project).digest)
    (project / "plain").rename(project / "renamed")
    digests.append(code_tree(project).digest)
    (project / "link").unlink()
    (project / "link").symlink_to("program")
    digests.append(code_tree(project).digest)
    (project / "renamed").write_text("two\n")
    digests.append(code_tree(project).digest)
    assert len(set(digests)) == len(digests)


def test_too_much_code_names_the_ten_largest(project: Path) -> None:
    for number in range(12):
        (project / f"big{number:02}").write_bytes(bytes(1_000_000 + number))
    with pytest.raises(LimitError) as caught:
        code_tree(project, limit=10_000_000)
    message = str(caught.value)
    assert "big11 1.0, big10 1.0" in message
    assert "big02" in message
    assert "big01" not in message
    assert code_tree(project, limit=None).size > 12_000_000


def test_an_empty_tree_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to send"):
        code_tree(tmp_path)


def test_links_that_lead_out_alone_are_nothing_to_send_and_it_is_said_why(tmp_path: Path) -> None:
    """As git-annex, DVC and caches of models have data."""
    data = tmp_path / "the data"
    data.mkdir()
    (tmp_path / "key").write_text("1")
    (data / "a.csv").symlink_to("../key")
    with pytest.raises(ConfigError) as caught:
        data_tree({"d": data})
    assert "nothing to send" in caught.value.message
    assert caught.value.message.endswith("got links that leave the tree: a.csv")
    assert caught.value.cure == f"`cp -rL '{data}' COPY` makes files of links: send COPY"


def test_empty_folders_alone_are_nothing_to_send(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    with pytest.raises(ConfigError, match="nothing to send"):
        code_tree(tmp_path / "x")


def test_results_are_no_code(project: Path) -> None:
    write(project / "out", model="x")
    tree = code_tree(project, results=Path("out"))
    assert [left.rule for left in tree.left_out] == ["results"]


def test_the_source_of_a_clean_tree(project: Path) -> None:
    source = read_source(project, ())
    assert source.commit == git(project, "rev-parse", "HEAD").strip()
    assert (source.branch, source.dirty, source.diff) == ("main", False, "")


def test_the_source_of_a_dirty_tree_has_its_diff_without_secrets(project: Path) -> None:
    write(project, **{".env": "TOKEN=old"})
    git(project, "add", "-f", ".env")
    git(project, "commit", "-qm", "x")
    write(project, **{".env": "TOKEN=s3cret", "plain": "changed\n"})
    source = code_tree(project).source
    assert source is not None
    assert source.dirty
    assert "+changed" in source.diff
    assert "TOKEN" not in source.diff


def test_the_diff_shows_no_secret_that_was_deleted_renamed_or_held_back(project: Path) -> None:
    for name in (".env", "gone.env", "deploy_key", "held"):
        write(project, **{name: "TOKEN=s3cret\n" * 9})
    git(project, "add", "-f", ".")
    git(project, "commit", "-qm", "x")
    write(project, **{".moolaignore": "held\n", "held": "TOKEN=new\n", ".env": "TOKEN=new\n"})
    (project / "deploy_key").unlink()
    (project / "gone.env").rename(project / "plain")
    source = code_tree(project).source
    assert source is not None
    assert "deploy_key" in source.diff
    assert "b/plain" in source.diff
    assert "-TOKEN" not in source.diff
    assert "new" not in source.diff
    sub = read_source(project / "sub", {"other"})
    assert sub.diff == ""


def test_a_new_file_makes_a_tree_dirty(project: Path) -> None:
    write(project, new="x")
    source = read_source(project, ())
    assert (source.dirty, source.diff) == (True, "")


def test_the_source_before_the_first_commit_and_on_a_detached_head(
    project: Path, tmp_path: Path
) -> None:
    git(project, "checkout", "-q", "--detach")
    assert read_source(project, ()).branch is None
    fresh = write(tmp_path / "fresh", a="x")
    git(fresh, "init", "-q", "-b", "trunk")
    assert read_source(fresh, ()) == source.Source(None, "trunk", dirty=True, diff="")


def test_code_outside_git_has_no_source(tmp_path: Path) -> None:
    assert code_tree(write(tmp_path, a="x")).source is None


def test_a_long_diff_is_cut(project: Path) -> None:
    (project / "plain").write_text("line\n" * 100_000)
    diff = read_source(project, {"plain"}).diff
    assert len(diff) < source.DIFF_MAX + 100
    assert "[cut: " in diff


def test_data_sets_lie_below_their_names(tmp_path: Path) -> None:
    write(tmp_path / "one", a="1", b="2")
    write(tmp_path / "two", a="3")
    (tmp_path / "to-one").symlink_to(tmp_path / "one")
    tree = data_tree({"x": tmp_path / "to-one", "y": tmp_path / "two" / "a"})
    assert [file.path for file in tree.files] == ["x/a", "x/b", "y/a"]


@pytest.fixture
def is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written now counts as written long ago: a program can't set a file's ctime."""
    monkeypatch.setattr(hashing, "RACY_NS", 0)


@pytest.mark.usefixtures("is_old")
def test_code_is_read_once_and_again_when_anything_of_it_changed(
    project: Path, tmp_path: Path
) -> None:
    memory = tmp_path / "state" / "hashes.json"
    first = code_tree(project, cache=memory)
    assert len(json.loads(memory.read_bytes())) == 3  # a link is none of them
    assert code_tree(project, cache=memory).files == first.files == code_tree(project).files
    plain = project / "plain"
    status = plain.stat()
    with plain.open("r+b") as file:  # the same size, inode and time of the content
        file.write(b"ONE\n")
    os.utime(plain, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert code_tree(project, cache=memory).digest == code_tree(project).digest != first.digest
    plain.write_text("-----BEGIN RSA PRIVATE KEY-----\n")
    (project / "program").unlink()
    assert [file.path for file in code_tree(project, cache=memory).files] == ["link", "sub/other"]
    assert len(json.loads(memory.read_bytes())) == 1


@pytest.mark.usefixtures("is_old")
def test_data_is_hashed_once(tmp_path: Path) -> None:
    folder, memory = write(tmp_path / "one", a="1"), tmp_path / "hashes.json"
    os.utime(folder / "a", ns=(1, 1))
    first = data_tree({"x": folder}, cache=memory)
    assert str(folder / "a") in memory.read_text()
    assert data_tree({"x": folder}, cache=memory) == first


def test_data_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        data_tree({"x": tmp_path / "absent"})
