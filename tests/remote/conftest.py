"""What the tests of the laptop's side share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.ssh.connect import connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.lines import Line


@pytest.fixture(params=["openssh_server", "local_pod"])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    """Each server in turn."""
    found: Endpoint = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def transport(endpoint: Endpoint, tmp_path: Path) -> Iterator[Transport]:
    """A connection to `endpoint`."""
    made = connect(endpoint, known_hosts=tmp_path / "known_hosts")
    yield made
    made.close()


@pytest.fixture
def line(openssh_server: Endpoint) -> Iterator[Line]:
    """A line to the OpenSSH server."""
    made = Line(openssh_server.port)
    yield made
    made.cut()
