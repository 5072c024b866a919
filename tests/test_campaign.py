"""A few sequences of the campaign; `make campaign` tries a thousand."""

from __future__ import annotations

import pytest

from moola_remote.ssh.endpoint import Endpoint
from tests.campaign.__main__ import conduct

pytestmark = pytest.mark.process


def test_no_promise_is_broken_by_a_few_random_sequences(
    local_pod: Endpoint, openssh_server: Endpoint
) -> None:
    counts, broken = conduct([local_pod, openssh_server], seeds=[1, 2], num_steps=8)
    assert not broken, broken[0]
    assert counts["commands"] > 2
