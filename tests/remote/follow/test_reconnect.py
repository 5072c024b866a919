"""What is tried again over lost connections, and what is not."""

from __future__ import annotations

import time

import pytest

from moola_remote.errors import NoPythonError, PodGoneError, UnreachableError
from moola_remote.follow.reconnect import MAX_HOPELESS, persist


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


def test_how_long_the_work_itself_takes_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda _: None)
    errors = [UnreachableError("connection lost")] * 200  # one each hour

    def send_for_an_hour() -> str:
        now[0] += 3600
        if errors:
            raise errors.pop()
        return "sent"

    assert persist(send_for_an_hour, lambda _: None, patience_s=60) == "sent"


def test_patience_ends_when_it_was_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)

    def call() -> None:
        raise UnreachableError("connection refused")

    with pytest.raises(UnreachableError, match="refused"):
        persist(call, lambda _: None, patience_s=60)
    assert sum(waited[:-1]) < 60 <= sum(waited)
