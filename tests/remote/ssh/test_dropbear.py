"""Dropbear as the pod's server: commands, the agent, transfers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from moola_remote.agent_client.client import Agent, probe
from moola_remote.errors import ConfigError
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from tests.support.dropbear import missing_for_dropbear, running_dropbear
from tests.support.lanes import HANGS_S

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def dropbear(home: Path) -> Iterator[Endpoint]:
    if missing_for_dropbear():
        pytest.skip(missing_for_dropbear())
    with running_dropbear() as endpoint:
        yield endpoint


def test_commands_the_agent_and_transfers(dropbear: Endpoint, tmp_path: Path) -> None:
    transport = connect(dropbear, known_hosts=tmp_path / "pins")
    try:
        done = transport.run(["sh", "-c", "cat; echo warned >&2; exit 7"], stdin=b"given")
        assert (done.returncode, done.stdout, done.stderr) == (7, b"given", b"warned\n")
        data = bytes(range(256)) * 20_000
        assert transport.run(["cat"], stdin=data).stdout == data
        facts = probe(Agent(transport, root=dropbear.root, python=dropbear.python))
        assert facts.rsync
        here, back = tmp_path / "here", tmp_path / "back"
        here.mkdir()
        back.mkdir()
        (here / "a b").write_bytes(data)
        there = PurePosixPath(dropbear.root) / "there"
        assert transport.push(here, there) == len(data)
        transport.pull(there, back, files=["a b"], max_file=len(data), max_bytes=2 * len(data))
        assert (back / "a b").read_bytes() == data
    finally:
        transport.close()


@pytest.mark.parametrize("root", ["/no-such-disk/moola", "/no-workspace/moola", "/quotas/moola"])
def test_a_root_that_the_user_may_not_make_names_one_of_the_users_home(
    root: str, dropbear: Endpoint, tmp_path: Path
) -> None:
    """As `pods add` writes it, for root."""
    transport = connect(dropbear, known_hosts=tmp_path / "pins")
    try:
        with pytest.raises(ConfigError) as caught:
            probe(Agent(transport, root=root, python=dropbear.python))
        assert "Permission denied" in caught.value.message
        said, _, other = caught.value.cure.partition(" root: ")
        assert said == "in the pod's file:"
        assert probe(Agent(transport, root=other, python=dropbear.python)).rsync
    finally:
        transport.close()


def test_commands_run_side_by_side(dropbear: Endpoint, tmp_path: Path) -> None:
    transport = connect(dropbear, known_hosts=tmp_path / "pins")
    try:
        first = transport.open(["cat"])
        first.write(b"one")
        assert first.read(10, HANGS_S) == b"one"
        assert transport.run(["echo", "two"]).stdout == b"two\n"
        first.close_stdin()
        assert first.read(10, HANGS_S) == b""
        assert first.returncode(HANGS_S) == 0
    finally:
        transport.close()
