"""A job that takes more memory than there is: the kernel really kills it, and that is reported."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pods import AgentPod, wait_until

pytestmark = pytest.mark.process

LIMIT = 200_000_000
# Of cgroup v2 and of v1: where the groups lie, the files that limit memory, and memory with swap.
KINDS = [
    ("/sys/fs/cgroup", "memory.max", "memory.swap.max", 0),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", LIMIT),
]


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of little memory; skipped where none can be made."""
    for top, limit, swap_limit, swap in KINDS:
        made = Path(top, f"moola-test-{os.getpid()}")
        with contextlib.suppress(OSError):
            made.mkdir()
            if (made / limit).exists():
                (made / limit).write_text(str(LIMIT))
                with contextlib.suppress(OSError):  # a kernel that does not count swap
                    (made / swap_limit).write_text(str(swap))
                break
            made.rmdir()
    else:
        pytest.skip("no control group of memory can be made here")
    yield made
    wait_until(lambda: not (made / "cgroup.procs").read_text())
    made.rmdir()


def test_a_job_that_the_kernel_kills_for_memory_is_distinguished(
    group: Path, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho $$ >{group}/cgroup.procs\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    pod = AgentPod(tmp_path / "root", str(python))
    run_id = pod.start(
        sys.executable, "-c", f"print('so much', flush=True); bytearray({2 * LIMIT})"
    )
    state = pod.wait(run_id)
    assert (state["state"], state["signal"]) == ("FAILED", "SIGKILL")
    assert state["reason"] == "killed by SIGKILL: out of memory"
    assert state["oom_killed"]
    assert state["last_lines"] == ["so much"]
    # Killed in a group where memory once ran out, but not for it.
    state = pod.wait(pod.shell("kill -KILL $$"))
    assert state["reason"] == "killed by SIGKILL"
    assert not state["oom_killed"]
    pod.clear()
