"""What the tests of the laptop's side and of the agent share."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.results import bring
from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.hostkeys import KnownHosts
from moola_remote.ssh.keeping import Keeping, keeping
from moola_remote.ssh.transport import Transport
from moola_remote.ssh.user_config import resolve
from tests.support.lines import Line
from tests.support.masters import end_masters, masters
from tests.support.pods import AgentPod, make_bare_python


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[AgentPod]:
    """An empty pod; what still runs at the end is ended."""
    pod = AgentPod(tmp_path / "pod root")
    yield pod
    pod.clear()


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip and two small packages, as an image's own may be one."""
    return make_bare_python(tmp_path_factory.mktemp("bare") / "venv")


@pytest.fixture(params=["openssh_server", "local_pod"])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """Each server in turn."""
    found: Endpoint = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def keep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeping]:
    """A folder for connections that stay; they end with the test."""
    made = keeping(tmp_path_factory.mktemp("k"), 60)
    assert made
    yield made
    end_masters(made)


@pytest.fixture
def transport(endpoint: Endpoint, tmp_path: Path, keep: Keeping) -> Iterator[Transport]:
    """A connection to `endpoint`, as a command has it: OpenSSH's, to a pod of provider `ssh`."""
    known_hosts = tmp_path / "known_hosts"
    if endpoint.name == "local":
        made = connect(endpoint, known_hosts=known_hosts)
    else:
        made = by_client(endpoint, known_hosts, keep)
    yield made
    made.close()


def by_client(endpoint: Endpoint, known_hosts: Path, keep: Keeping) -> Transport:
    """A connection of OpenSSH's client, which takes a pin and the user's configuration."""
    pins = KnownHosts(known_hosts)
    assert endpoint.known_key
    pins.pin(endpoint.name, base64.b64decode(endpoint.known_key.split()[1]))
    made = connect(configured(endpoint), known_hosts=known_hosts, keep=keep)
    assert masters(keep.folder)
    return made


def configured(endpoint: Endpoint) -> Endpoint:
    """The same, as a pod of provider `ssh` has it."""
    config = resolve(endpoint.host, user=endpoint.user, port=endpoint.port)
    return dataclasses.replace(endpoint, host_config=config)


@pytest.fixture
def line(openssh_server: Endpoint) -> Iterator[Line]:
    """A line to the OpenSSH server."""
    made = Line(openssh_server.port)
    yield made
    made.cut()


@pytest.fixture
def by_rsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of any size come by rsync."""
    monkeypatch.setattr(bring, "SMALL", -1)
