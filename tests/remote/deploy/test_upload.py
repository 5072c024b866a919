"""Trees: how they come to a pod, whole, and without what it has."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from moola_remote.agent_client.client import Agent, probe
from moola_remote.config.typed import typed
from moola_remote.deploy import upload
from moola_remote.deploy.snapshot import Tree, code_tree, data_tree
from moola_remote.errors import TransferError
from moola_remote.files import hashing
from moola_remote.protocol.answers import PodInfo
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.git_trees import write
from tests.support.pods import put_agent

pytestmark = pytest.mark.process


@pytest.fixture
def agent(transport: Transport, endpoint: Endpoint, tmp_path: Path) -> Agent:
    """The real agent with a root of its own."""
    put_agent(str(tmp_path / "ro'ot"))
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


def test_a_file_that_changed_travels_in_the_request(
    agent: Agent, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "RACY_NS", 0)
    cache = tmp_path / "hashes.json"
    _send(agent, code_tree(project, cache=cache))
    (project / "plain").write_text("changed\n")
    second = code_tree(project, cache=cache)
    assert second.fresh == {"plain"}
    with monkeypatch.context() as no_rsync:
        no_rsync.setattr(type(agent.transport), "push", None)  # which would fail
        assert _send(agent, second) == len("changed\n")
    there = Path(agent.root) / "code" / second.digest
    assert (there / "plain").read_text() == "changed\n"
    assert (there / "plain").stat().st_mtime_ns == (project / "plain").stat().st_mtime_ns


def test_a_file_that_changed_travels_with_the_first_question(
    agent: Agent, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "RACY_NS", 0)
    cache = tmp_path / "hashes.json"
    first = code_tree(project, cache=cache)
    _send(agent, first)
    (project / "plain").write_text("changed\n")
    second = code_tree(project, cache=cache)
    asked = upload.link_request(second, "code", upload.content_of(second))
    facts = probe(agent, link=asked)
    assert (facts.sealed, facts.trees.code) == (True, [first.digest, second.digest])
    there = Path(agent.root) / "code" / second.digest
    assert (there / "plain").read_text() == "changed\n"
    assert not probe(agent, link=asked).sealed


@pytest.mark.parametrize("change", ["content", "removed"])
def test_a_file_that_changes_before_it_travels_in_the_request_is_named(
    agent: Agent, project: Path, tmp_path: Path, change: str
) -> None:
    _send(agent, code_tree(project, cache=tmp_path / "hashes.json"))
    (project / "plain").write_text("changed\n")
    second = code_tree(project, cache=tmp_path / "hashes.json")
    if change == "content":
        (project / "plain").write_text("CHANGED\n")
    else:
        (project / "plain").unlink()
    with pytest.raises(TransferError, match=r"plain.*run it again"):
        _send(agent, second)
    assert not (Path(agent.root) / "code" / second.digest).exists()


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
    cure = "run it again" if change == "removed" else r"run it again.*[.]gitignore"
    with pytest.raises(TransferError, match=rf"plain.*{cure}"):
        _send(agent, tree)
    assert not (Path(agent.root) / "code" / tree.digest).exists()


def test_what_an_earlier_attempt_left_is_cleared(agent: Agent, project: Path) -> None:
    tree = code_tree(project)
    incoming = Path(agent.root) / "code" / f".incoming-{tree.digest}"
    write(incoming / "sub", stray="x", other="xx\n")
    _send(agent, tree)
    there = Path(agent.root) / "code" / tree.digest
    assert sorted(path.name for path in (there / "sub").iterdir()) == ["other"]
    assert (there / "sub" / "other").read_text() == "two\n"


def test_data_is_sent_below_its_names(agent: Agent, tmp_path: Path) -> None:
    tree = data_tree({"x": write(tmp_path / "one", a="1"), "y": write(tmp_path / "2", b="2")})
    upload.send(agent.transport, agent, tree, "data", facts=probe(agent))
    there = PurePosixPath(agent.root) / "data" / tree.digest
    assert Path(there / "x" / "a").read_text() == "1"
    assert Path(there / "y" / "b").read_text() == "2"


@pytest.mark.parametrize("trees", [{}, {"code": 3}, {"code": [3, None, "../x", "0" * 16 + "\n"]}])
def test_a_pod_that_names_odd_trees_is_sent_ours(
    trees: dict[str, Any], agent: Agent, project: Path
) -> None:
    tree = code_tree(project)
    facts = typed(PodInfo, {"python": "3", "trees": trees})
    upload.send(agent.transport, agent, tree, "code", facts=facts)
    assert (Path(agent.root) / "code" / tree.digest / "plain").exists()
