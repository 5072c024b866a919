"""A tree that another pod lies about: nothing outside of the relay folder is touched."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from moola_remote.agent_client.client import Agent
from moola_remote.deploy.snapshot import FOLDER, LINK, File, digest_of
from moola_remote.errors import TransferError
from moola_remote.pods.pod import Pod
from moola_remote.runs.relay import carry_tree
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.pods import put_agent

pytestmark = pytest.mark.process


def plain(path: str, content: bytes = b"x") -> File:
    return File(path, len(content), hashlib.sha256(content).hexdigest(), "100644")


def link(path: str, target: str) -> File:
    return File(path, len(target), hashlib.sha256(target.encode()).hexdigest(), LINK)


def folder(path: str) -> File:
    return File(path, 0, hashlib.sha256(b"").hexdigest(), FOLDER)


class Far:
    """A pod with one tree, which is as its list says unless a test changes it."""

    def __init__(self, top: Path, transport: Transport, python: str, *files: File) -> None:
        self.digest = digest_of(files)
        self.tree = top / "root" / "code" / self.digest
        self.tree.mkdir(parents=True)
        listed = {"schema": 1, "files": [file._asdict() for file in files]}
        self.tree.with_name(f"{self.digest}.json").write_text(json.dumps(listed))
        for file in files:
            if file.mode not in (LINK, FOLDER):
                (self.tree / file.path).parent.mkdir(parents=True, exist_ok=True)
                (self.tree / file.path).write_bytes(b"x" * file.size)
        put_agent(str(top / "root"))
        agent = Agent(transport, root=str(top / "root"), python=python)
        self.pod = cast(Pod, SimpleNamespace(transport=transport, agent=agent))
        self.relay = top / "state" / "relay" / self.digest

    def carry(self) -> Any:
        watcher: Any = SimpleNamespace(update=lambda *_: None, step=lambda *_: None)
        return carry_tree(self.pod, "code", self.digest, self.relay, watcher)


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of the user's, which stays as it is."""
    folder = tmp_path / "victim"
    folder.mkdir()
    (folder / "keys").write_text("precious")
    return folder


def test_an_honest_tree_comes_as_it_is(
    transport: Transport, endpoint: Endpoint, tmp_path: Path
) -> None:
    latin = os.fsdecode(b"caf\xe9")
    files = (plain("a/b"), link("a/to", "b"), link("up", "a/b"), folder("a/none"), plain(latin))
    far = Far(tmp_path, transport, endpoint.python, *files)
    (far.tree / "a" / "to").symlink_to("b")
    (far.tree / "up").symlink_to("a/b")
    assert far.carry().digest == far.digest
    assert (far.relay / "a" / "b").read_bytes() == b"x"
    assert (far.relay / "a" / "to").readlink() == Path("b")
    assert (far.relay / "a" / "none").is_dir()
    assert (far.relay / latin).read_bytes() == b"x"


@pytest.mark.parametrize("below", [plain("x/keys"), link("x/keys", "any"), folder("x/made")])
def test_nothing_is_listed_below_a_link(
    below: File, transport: Transport, endpoint: Endpoint, tmp_path: Path, victim: Path
) -> None:
    far = Far(tmp_path, transport, endpoint.python, link("x", str(victim)), below)
    with pytest.raises(TransferError, match="names something twice"):
        far.carry()
    assert not far.relay.exists()
    assert [path.name for path in victim.iterdir()] == ["keys"]


def test_nothing_is_listed_twice(transport: Transport, endpoint: Endpoint, tmp_path: Path) -> None:
    far = Far(tmp_path, transport, endpoint.python, plain("a"), plain("a", b"xx"))
    with pytest.raises(TransferError, match="names something twice"):
        far.carry()
    assert not far.relay.exists()


def test_a_link_that_leads_out_is_refused(
    transport: Transport, endpoint: Endpoint, tmp_path: Path, victim: Path
) -> None:
    far = Far(tmp_path, transport, endpoint.python, plain("a"), link("x", str(victim)))
    (far.tree / "x").symlink_to(victim)
    with pytest.raises(TransferError, match="a link on the pod leads out of it"):
        far.carry()
    assert not far.relay.exists()
    assert (victim / "keys").read_text() == "precious"


def test_a_link_that_leads_out_by_way_of_another_is_refused(
    transport: Transport, endpoint: Endpoint, tmp_path: Path
) -> None:
    files = (plain("d/e/f"), link("d/e/up", "../.."), link("x", "d/e/up/../state"))
    far = Far(tmp_path, transport, endpoint.python, *files)
    (far.tree / "d/e/up").symlink_to("../..")
    (far.tree / "x").symlink_to("d/e/up/../state")
    with pytest.raises(TransferError, match="a link on the pod leads out of it"):
        far.carry()
    assert not far.relay.exists()


def test_a_link_with_another_target_than_listed_is_refused(
    transport: Transport, endpoint: Endpoint, tmp_path: Path, victim: Path
) -> None:
    far = Far(tmp_path, transport, endpoint.python, plain("a"), link("x", "a"))
    (far.tree / "x").symlink_to(victim)
    with pytest.raises(TransferError, match="a link on the pod is not as listed"):
        far.carry()
    assert not far.relay.exists()


@pytest.mark.parametrize("content", [b"y", b"xx", None])
def test_a_file_that_is_not_as_listed_is_refused(
    content: bytes | None, transport: Transport, endpoint: Endpoint, tmp_path: Path
) -> None:
    far = Far(tmp_path, transport, endpoint.python, plain("a"), plain("b"))
    (far.tree / "b").unlink()
    if content is not None:
        (far.tree / "b").write_bytes(content)
    with pytest.raises(TransferError):
        far.carry()
    assert not far.relay.exists()


def test_a_link_in_the_relay_folder_of_before_is_not_followed(
    transport: Transport, endpoint: Endpoint, tmp_path: Path, victim: Path
) -> None:
    far = Far(tmp_path, transport, endpoint.python, plain("a/keys"))
    far.relay.mkdir(parents=True)
    (far.relay / "a").symlink_to(victim)
    far.carry()
    assert (far.relay / "a" / "keys").read_bytes() == b"x"
    assert (victim / "keys").read_text() == "precious"
