"""What stays behind a run reports what it can't write; no room for the report ends nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.agent import errors, layout, live_state

FULL = Path("/dev/full")  # each write to it fails for want of room


@contextlib.contextmanager
def _full_stderr() -> Iterator[None]:
    if not FULL.exists():
        pytest.skip("no /dev/full on this system")
    fd = os.open(FULL, os.O_WRONLY)
    file = os.fdopen(fd, "w", closefd=False)
    with contextlib.redirect_stderr(file):
        yield
    with contextlib.suppress(OSError):  # what is still in its buffer
        file.close()
    os.close(fd)


def test_a_line_without_room_is_lost_and_raises_nothing() -> None:
    with _full_stderr():
        for _ in range(2):  # what is left in a buffer is tried again
            errors.report("state not written")


def test_a_heartbeat_that_can_be_neither_written_nor_reported_ends_no_supervisor(
    tmp_path: Path,
) -> None:
    run = layout.Run(tmp_path / "runs" / "one")
    run.own.mkdir(parents=True)
    run.write("state.json", {"run_id": "one", "state": "RUNNING"})
    live = live_state.LiveState(layout.Pod(tmp_path), run)
    live.save(sync=False)
    saved = [live.is_saved]
    shutil.rmtree(run.path)
    with _full_stderr():
        live.save(sync=False)
    saved.append(live.is_saved)
    run.own.mkdir(parents=True)
    live.save(sync=False)
    assert [*saved, live.is_saved] == [True, False, True]
    assert run.state()["state"] == "RUNNING"
