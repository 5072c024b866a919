"""A few sequences of the campaign; `make campaign` tries a thousand."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.campaign.__main__ import conduct
from tests.campaign.machine import Machine, can_be_had
from tests.support.servers import SSHD

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not can_be_had(), reason="no right to make namespaces and mount disks"),
    pytest.mark.skipif(not SSHD.exists(), reason="no OpenSSH server here"),
]


def test_no_promise_is_broken_by_a_few_random_sequences(tmp_path: Path) -> None:
    with ExitStack() as stack:
        machines = [Machine(tmp_path / "1", "embedded"), Machine(tmp_path / "2", "OpenSSH")]
        for machine in machines:
            stack.callback(machine.close)
        counts, broken = conduct(machines, seeds=[1, 2, 5], num_steps=8)
    assert not broken, broken[0]
    assert counts["commands"] > 2
