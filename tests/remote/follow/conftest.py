"""A laptop that follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.following import Laptop
from tests.support.pods import AgentPod


@pytest.fixture
def laptop(pod: AgentPod, tmp_path: Path) -> Laptop:
    return Laptop(pod, tmp_path / "laptop")
