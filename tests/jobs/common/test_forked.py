"""Work in a copy of this process: what comes back, and how either of the two may end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.common.forked import Forked, beside, can_fork
from moola_core.errors import NonFiniteLossError, ProcessesError

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="a copy is made on Linux alone"),
]
Send = Callable[[Any], None]


def _all(forked: Forked) -> list[Any]:
    found: list[Any] = []
    try:
        while not forked.is_done:
            found += forked.messages(60.0)
    finally:
        forked.end()
    return found


def test_messages_come_in_order_also_more_than_a_pipe_holds() -> None:
    texts = [str(i) * 1000 for i in range(300)]

    def work(send: Send) -> None:
        for text in texts:
            send(text)

    assert _all(Forked(work, "texts")) == texts


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (NonFiniteLossError("epoch 1: nan"), (NonFiniteLossError, "epoch 1: nan")),
        (KeyError("a fault of ours"), (RuntimeError, "KeyError: 'a fault of ours'")),
    ],
)
def test_what_the_work_raises_is_raised_here(
    raised: Exception, expected: tuple[type[Exception], str]
) -> None:
    def work(send: Send) -> None:
        send("before")
        raise raised

    forked = Forked(work, "nothing")
    with pytest.raises(expected[0], match=expected[1]):
        _all(forked)
    assert forked.is_done


def test_a_lack_of_memory_in_a_copy_is_one_here() -> None:
    forked = Forked(lambda send: send(torch.empty(2**55, dtype=torch.uint8)), "nothing")
    with pytest.raises(MemoryError, match=r"^can't allocate memory: you tried to allocate 36028"):
        _all(forked)


def test_a_copy_that_is_killed_is_one_line() -> None:
    def work(send: Send) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ProcessesError, match="the process for numbers: ended by signal 9"):
        _all(Forked(work, "numbers"))


def test_end_ends_a_copy_that_waits() -> None:
    def work(send: Send) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        send(os.getpid())
        signal.pause()

    forked = Forked(work, "nothing")
    (pid,) = forked.messages(60.0)
    forked.end()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_work_beside_a_block_is_done_when_the_block_is_left(tmp_path: Path) -> None:
    for is_forked in (True, False):
        path = tmp_path / f"{is_forked}"
        with beside(lambda path=path: path.write_text(str(os.getpid())), "x", is_forked=is_forked):  # type: ignore[misc]
            pass
        assert (path.read_text() != str(os.getpid())) is is_forked


def test_there_is_no_copy_beside_a_gpu_or_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cpu = torch.device("cpu")
    assert can_fork(cpu, 1)
    assert not can_fork(cpu, 2)
    assert not can_fork(torch.device("cuda"), 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert not can_fork(cpu, 1)
