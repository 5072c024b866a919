"""What the tests of the laptop's side and of the agent share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.pods import AgentPod


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[AgentPod]:
    """An empty pod; what still runs at the end is ended."""
    pod = AgentPod(tmp_path / "pod root")
    yield pod
    pod.clear()
