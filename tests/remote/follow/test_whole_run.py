"""What is tried again over lost connections, and what is not."""

from __future__ import annotations

import time

import pytest

from moola_remote.errors import NoPythonError, PodGoneError, UnreachableError
from moola_remote.follow.reconnect import MAX_HOPELESS
from moola_remote.follow.whole_run import persist


@pytest.mark.parametrize(
    "error", [NoPythonError("none", "install one"), PodGoneError("gone", "up", is_removed=True)]
)
def test_what_can_not_get_better_is_tried_three_times(
    error: UnreachableError, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    tried = []

    def call() -> None:
        tried.append(error)
        assert len(tried) <= MAX_HOPELESS
        raise error

    with pytest.raises(type(error)):
        persist(call, lambda _: None, patience_s=60)
    assert len(tried) == MAX_HOPELESS
