"""A run that has ended, on each server."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.support.fetching import Pod


@pytest.fixture
def pod(transport: Transport, endpoint: Endpoint, tmp_path: Path) -> Pod:
    """An honest pod, on each server."""
    return Pod(tmp_path, transport, endpoint.python)
