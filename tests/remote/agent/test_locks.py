"""Locks that end with their process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from moola_remote.agent.locks import is_locked, lock


def test_a_lock_is_waited_for_while_patience_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    held = lock(path)
    assert held is not None
    assert is_locked(path)
    assert lock(path, patience_s=0.0) is None
    with monkeypatch.context() as patch:
        # Whoever holds it lets go between two attempts.
        patch.setattr(time, "sleep", lambda _: os.close(held))
        mine = lock(path, patience_s=300.0)
    assert mine is not None
    assert is_locked(path)
    os.close(mine)
    assert not is_locked(path)
