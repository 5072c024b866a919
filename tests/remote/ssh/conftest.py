"""A user's ~/.ssh that is written for one test, and servers of its own."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moola_remote.config.settings import PodConfig
from moola_remote.config.typed import typed
from moola_remote.errors import MoolaError
from moola_remote.providers import provider_for
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.keeping import Keeping
from moola_remote.ssh.transport import Transport
from tests.remote.conftest import by_client
from tests.support.lanes import HANGS_S
from tests.support.servers import SSHD, running_openssh

Through = Callable[..., Endpoint]


@pytest.fixture(params=["paramiko", "OpenSSH's client"])
def transport(
    request: pytest.FixtureRequest, endpoint: Endpoint, tmp_path: Path, keep: Keeping
) -> Iterator[Transport]:
    """A connection to `endpoint`, each way."""
    known_hosts = tmp_path / "known_hosts"
    if request.param == "paramiko":
        made = connect(endpoint, known_hosts=known_hosts)
    else:
        made = by_client(endpoint, known_hosts, keep)
    yield made
    made.close()


@pytest.fixture
def dot_ssh(home: Path) -> Iterator[Path]:
    """The user's ~/.ssh, empty."""
    folder = home / ".ssh"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def bastion(home: Path, tmp_path: Path) -> Iterator[Endpoint]:
    """A second OpenSSH server, to be jumped over."""
    if not SSHD.exists():
        pytest.skip("no OpenSSH server here: apt install openssh-server")
    with running_openssh(tmp_path / "bastion") as endpoint:
        yield endpoint


@pytest.fixture
def through(openssh_server: Endpoint, dot_ssh: Path) -> Through:
    """Write a configuration and resolve the pod ``box`` by it; ``{pod}`` is its place and key."""

    def resolved(config: str, **keys: object) -> Endpoint:
        (dot_ssh / "config").write_text(config.replace("{pod}", lines_of(openssh_server)))
        pod = typed(
            PodConfig, {"name": "box", "provider": "ssh", "host": "box", "root": "/x", **keys}
        )
        endpoint = provider_for(pod).endpoint()
        return dataclasses.replace(endpoint, known_key=openssh_server.known_key)

    return resolved


def lines_of(endpoint: Endpoint) -> str:
    """The lines of a Host block for one of the servers."""
    return (
        f"HostName {endpoint.host}\n  Port {endpoint.port}\n  User {endpoint.user}\n"
        f"  IdentityFile {endpoint.identity_file}\n"
    )


def vouch(folder: Path, endpoint: Endpoint) -> None:
    """Add a server to the user's known_hosts."""
    with (folder / "known_hosts").open("a") as file:
        file.write(f"[{endpoint.host}]:{endpoint.port} {endpoint.known_key}\n")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """A running ssh-agent without keys; its socket."""
    path = tmp_path / "a"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not path.exists():
            assert process.poll() is None
        yield path
    finally:
        process.terminate()
        process.wait()


def add_key(agent: Path, *words: str) -> None:
    """Give a key to an agent."""
    env = {**os.environ, "SSH_AUTH_SOCK": str(agent)}
    subprocess.run(["ssh-add", "-q", *words], check=True, env=env, capture_output=True)


def keygen(path: Path, *words: str, passphrase: str = "") -> Path:
    """Make a key pair."""
    kind = () if "-t" in words else ("-t", "ed25519")
    command = ["ssh-keygen", "-q", *kind, "-N", passphrase, *words, "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def greet(endpoint: Endpoint, folder: Path) -> None:
    """Connect and run a command."""
    transport = connect(endpoint, known_hosts=folder / "pins")
    try:
        assert transport.run(["echo", "hello"]).stdout == b"hello\n"
    finally:
        transport.close()


def refusal(endpoint: Endpoint, folder: Path) -> MoolaError:
    """The one line, with its cure, for which there is no connection."""
    with pytest.raises(MoolaError) as caught:
        connect(endpoint, known_hosts=folder / "pins", timeout_s=HANGS_S)
    assert "\n" not in str(caught.value)
    assert caught.value.cure
    return caught.value
