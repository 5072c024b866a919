"""A process is identified by more than its number."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from moola_remote.files import atomic
from moola_remote.providers.local.state import identity_of

pytestmark = pytest.mark.process


def test_a_process_keeps_its_identity_and_no_two_share_one() -> None:
    ours = identity_of(os.getpid())
    assert ours
    assert ours == identity_of(os.getpid())
    with subprocess.Popen(["sleep", "60"]) as other:
        assert identity_of(other.pid) not in (None, ours)
        other.kill()


def test_a_process_that_has_ended_has_none_even_before_it_is_reaped() -> None:
    with subprocess.Popen(["true"], stdout=subprocess.PIPE) as ended:
        assert ended.stdout
        ended.stdout.read()
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert identity_of(ended.pid) is None
    assert identity_of(ended.pid) is None


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(0o644)
    atomic.write(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]
