"""Trees: what they hold, what they are called, and how they come to a pod."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from moola_remote.agent_client.client import Agent, probe
from moola_remote.deploy import source, upload
from moola_remote.deploy.snapshot import Tree, code_tree, data_tree
from moola_remote.deploy.source import read_source
from moola_remote.errors import ConfigError, LimitError, TransferError
from moola_remote.files import hashing
from moola_remote.protocol.answers import PodInfo
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport

pytestmark = pytest.mark.process


def _git(folder: Path, *args: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x", *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a program, a link and a folder."""
    folder = _write(tmp_path / "a 'project'", plain="one\n", program="#!/bin/sh\n")
    _write(folder / "sub", other="two\n")
    (folder / "program").chmod(0o755)
    (folder / "link").symlink_to("sub/other")
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "x")
    return folder


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


def test_empty_folders_alone_are_nothing_to_send(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    with pytest.raises(ConfigError, match="nothing to send"):
        code_tree(tmp_path / "x")


def test_results_are_no_code(project: Path) -> None:
    _write(project / "out", model="x")
    tree = code_tree(project, results=Path("out"))
    assert [left.rule for left in tree.left_out] == ["results"]


def test_the_source_of_a_clean_tree(project: Path) -> None:
    source = read_source(project, ())
    assert source.commit == _git(project, "rev-parse", "HEAD").strip()
    assert (source.branch, source.dirty, source.diff) == ("main", False, "")


def test_the_source_of_a_dirty_tree_has_its_diff_without_secrets(project: Path) -> None:
    _write(project, **{".env": "TOKEN=old"})
    _git(project, "add", "-f", ".env")
    _git(project, "commit", "-qm", "x")
    _write(project, **{".env": "TOKEN=s3cret", "plain": "changed\n"})
    source = code_tree(project).source
    assert source is not None
    assert source.dirty
    assert "+changed" in source.diff
    assert "TOKEN" not in source.diff


def test_the_diff_shows_no_secret_that_was_deleted_renamed_or_held_back(project: Path) -> None:
    for name in (".env", "gone.env", "deploy_key", "held"):
        _write(project, **{name: "TOKEN=s3cret\n" * 9})
    _git(project, "add", "-f", ".")
    _git(project, "commit", "-qm", "x")
    _write(project, **{".moolaignore": "held\n", "held": "TOKEN=new\n", ".env": "TOKEN=new\n"})
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
    _write(project, new="x")
    source = read_source(project, ())
    assert (source.dirty, source.diff) == (True, "")


def test_the_source_before_the_first_commit_and_on_a_detached_head(
    project: Path, tmp_path: Path
) -> None:
    _git(project, "checkout", "-q", "--detach")
    assert read_source(project, ()).branch is None
    fresh = _write(tmp_path / "fresh", a="x")
    _git(fresh, "init", "-q", "-b", "trunk")
    assert read_source(fresh, ()) == source.Source(None, "trunk", dirty=True, diff="")


def test_code_outside_git_has_no_source(tmp_path: Path) -> None:
    assert code_tree(_write(tmp_path, a="x")).source is None


def test_a_long_diff_is_cut(project: Path) -> None:
    (project / "plain").write_text("line\n" * 100_000)
    diff = read_source(project, {"plain"}).diff
    assert len(diff) < source.DIFF_MAX + 100
    assert "[cut: " in diff


def test_data_sets_lie_below_their_names(tmp_path: Path) -> None:
    _write(tmp_path / "one", a="1", b="2")
    _write(tmp_path / "two", a="3")
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
    folder, memory = _write(tmp_path / "one", a="1"), tmp_path / "hashes.json"
    os.utime(folder / "a", ns=(1, 1))
    first = data_tree({"x": folder}, cache=memory)
    assert str(folder / "a") in memory.read_text()
    assert data_tree({"x": folder}, cache=memory) == first


def test_data_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        data_tree({"x": tmp_path / "absent"})


@pytest.fixture
def agent(transport: Transport, endpoint: Endpoint, tmp_path: Path) -> Agent:
    """The real agent with a root of its own."""
    return Agent(transport, root=str(tmp_path / "ro'ot"), python=endpoint.python)


def _send(agent: Agent, tree: Tree, **options: Any) -> int:
    return upload.send(agent.transport, agent, tree, "code", facts=probe(agent), **options)


def test_a_tree_is_sent_once_and_sealed(agent: Agent, project: Path) -> None:
    tree = code_tree(project)
    steps: list[tuple[str, int, int]] = []
    assert _send(agent, tree, progress=lambda *step: steps.append(step)) == tree.size - 9
    there = Path(agent.root) / "code" / tree.digest
    assert (there / "link").readlink() == Path("sub/other")
    assert (there / "program").stat().st_mode & 0o100
    assert steps[-1] == ("code", tree.size, tree.size)
    assert _send(agent, tree) == 0


def test_empty_folders_links_and_executable_bits_arrive_as_they_are(
    agent: Agent, project: Path
) -> None:
    for name in ("hollow", "-n/it's deep\n"):
        (project / name).mkdir(parents=True)
    (project / "to-folder").symlink_to("sub")
    before = code_tree(project)
    _send(agent, before)
    there = Path(agent.root) / "code" / before.digest
    assert code_tree(there).digest == before.digest
    assert (there / "-n" / "it's deep\n").is_dir()
    assert (there / "to-folder").readlink() == Path("sub")
    assert [oct(path.stat().st_mode & 0o111) for path in (there / "program", there / "plain")] == [
        "0o111",
        "0o0",
    ]
    (project / "hollow").rmdir()
    after = code_tree(project)
    assert after.digest != before.digest
    _send(agent, after)
    assert not (Path(agent.root) / "code" / after.digest / "hollow").exists()


def test_names_travel_as_they_are_whatever_bytes_they_have(
    agent: Agent, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latin = os.fsdecode(b"caf\xe9")
    names = [latin, f"{latin}-folder/deep\\", "n" * 255, "-rf", "new\nline", ";c", ":c", "~", " "]
    for name in names:
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(name[:3].strip("\udce9"))
    (project / "to").symlink_to(latin)
    first = code_tree(project)
    _send(agent, first)
    there = Path(agent.root) / "code" / first.digest
    assert code_tree(there).digest == first.digest
    assert (there / os.fsdecode(b"caf\xe9")).read_text() == "caf"
    monkeypatch.setattr(upload, "MANY_FILES", 1)  # the verb that links names them as well
    (project / "plain").write_text("changed\n")
    second = code_tree(project)
    assert _send(agent, second) == len("changed\n")


@pytest.fixture(params=["by rsync", "by a verb"])
def linked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How what the pod has already is linked: the verb is for trees of many files."""
    if request.param == "by a verb":
        monkeypatch.setattr(upload, "MANY_FILES", 1)
    return str(request.param)


@pytest.mark.usefixtures("linked")
def test_the_next_tree_sends_only_what_is_new(agent: Agent, project: Path) -> None:
    (project / "large").write_bytes(os.urandom(1_000_000))
    first = code_tree(project)
    _send(agent, first)
    (project / "plain").write_text("changed\n")
    second = code_tree(project)
    assert _send(agent, second) == len("changed\n")
    inodes = {
        (Path(agent.root) / "code" / tree.digest / "large").stat().st_ino
        for tree in (first, second)
    }
    assert len(inodes) == 1
    assert (Path(agent.root) / "code" / first.digest / "plain").read_text() == "one\n"


@pytest.mark.usefixtures("linked")
def test_equal_size_and_time_do_not_bring_old_content(agent: Agent, project: Path) -> None:
    os.utime(project / "plain", ns=(10**18, 10**18))
    _send(agent, code_tree(project))
    (project / "plain").write_text("two\n")
    os.utime(project / "plain", ns=(10**18, 10**18))
    second = code_tree(project)
    _send(agent, second)
    assert (Path(agent.root) / "code" / second.digest / "plain").read_text() == "two\n"


@pytest.mark.parametrize("change", ["content", "removed", "mode"])
def test_a_file_that_changes_while_it_is_sent_is_named(
    agent: Agent, project: Path, change: str
) -> None:
    tree = code_tree(project)
    if change == "content":
        (project / "plain").write_text("later\n")
    elif change == "mode":
        (project / "plain").chmod(0o755)
    else:
        (project / "plain").unlink()
    with pytest.raises(TransferError, match=r"plain.*run it again"):
        _send(agent, tree)
    assert not (Path(agent.root) / "code" / tree.digest).exists()


def test_what_an_earlier_attempt_left_is_cleared(agent: Agent, project: Path) -> None:
    tree = code_tree(project)
    incoming = Path(agent.root) / "code" / f".incoming-{tree.digest}"
    _write(incoming / "sub", stray="x", other="xx\n")
    _send(agent, tree)
    there = Path(agent.root) / "code" / tree.digest
    assert sorted(path.name for path in (there / "sub").iterdir()) == ["other"]
    assert (there / "sub" / "other").read_text() == "two\n"


def test_data_is_sent_below_its_names(agent: Agent, tmp_path: Path) -> None:
    tree = data_tree({"x": _write(tmp_path / "one", a="1"), "y": _write(tmp_path / "2", b="2")})
    upload.send(agent.transport, agent, tree, "data", facts=probe(agent))
    there = PurePosixPath(agent.root) / "data" / tree.digest
    assert Path(there / "x" / "a").read_text() == "1"
    assert Path(there / "y" / "b").read_text() == "2"


@pytest.mark.parametrize("trees", [{}, {"code": 3}, {"code": [3, None, "../x", "0" * 16 + "\n"]}])
def test_a_pod_that_names_odd_trees_is_sent_ours(
    trees: dict[str, Any], agent: Agent, project: Path
) -> None:
    tree = code_tree(project)
    facts = PodInfo.model_validate({"python": "3", "trees": trees})
    upload.send(agent.transport, agent, tree, "code", facts=facts)
    assert (Path(agent.root) / "code" / tree.digest / "plain").exists()
