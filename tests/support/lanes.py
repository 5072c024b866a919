"""The lanes of the tests: units, those that start processes or servers, trainings, clusters.

A test without a mark is a unit, and fails where it starts a process. Limits are by lane: they end
what hangs, also on a machine with a load of 20, and say nothing of speed.
"""

from __future__ import annotations

import functools
import os
import subprocess
import time
from pathlib import Path, PurePath
from typing import Any

import pytest

LIMITS_S = {"unit": 120, "process": 600, "train": 1200, "scale": 1200}
# How long a test waits for what should come at once: ends what hangs, before the lane does.
HANGS_S = 300.0
# What libraries start at their first use, to learn of processors, fonts and shared libraries.
HELPERS = frozenset(("lscpu", "fc-list", "ldconfig", "gcc", "cc", "ld", "objdump", "uname"))


def lane_of(item: pytest.Item) -> str:
    """Return the lane that a test is marked with; none is ``unit``."""
    marked = [lane for lane in LIMITS_S if item.get_closest_marker(lane)]
    return marked[-1] if marked else "unit"


def assign(items: list[pytest.Item]) -> None:
    """Mark each test with its lane, and give it the lane's limit unless it has its own."""
    for item in items:
        lane = lane_of(item)
        if lane == "unit":
            item.add_marker("unit")
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LIMITS_S[lane]))


def put_slow_files_first(items: list[pytest.Item]) -> None:
    """Sort files by lane, trainings first, so that workers share out short ones at the end.

    xdist takes the files with the most tests first, which leaves those with one long test for last.
    """
    lanes = tuple(LIMITS_S)
    slowest: dict[Path, int] = {}
    for item in items:
        rank = lanes.index(lane_of(item))
        slowest[item.path] = max(rank, slowest.get(item.path, 0))
    items.sort(key=lambda item: -slowest[item.path])


def slowdown() -> float:
    """Return how much longer a process takes just now than with a core of its own, at least 1.

    What is promised in seconds is promised of a machine that does nothing else.
    """
    began, cpu_s, used_s = time.monotonic(), 0.1, time.process_time()
    while time.process_time() - used_s < cpu_s:
        pass
    return max(1.0, (time.monotonic() - began) / cpu_s)


class StartedProcesses:
    """Counts the processes that this one starts, without what libraries ask for help.

    An audit hook would do, but Python calls it for each `id()` too: a million times, a second.
    """

    def __init__(self) -> None:
        self.number = 0
        # os.fork and os.forkpty, and with them os.spawn* and pty.
        os.register_at_fork(before=self._add)
        self._count(subprocess.Popen, "__init__")
        self._count(os, "posix_spawn")
        self._count(os, "posix_spawnp")

    def _add(self) -> None:
        self.number += 1

    def _count(self, owner: Any, name: str) -> None:
        start = getattr(owner, name)

        @functools.wraps(start)
        def counted(*args: Any, **kwargs: Any) -> Any:
            if not _is_helper(args[owner is subprocess.Popen :], kwargs):
                self._add()
            return start(*args, **kwargs)

        setattr(owner, name, counted)


def _is_helper(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether what is started, with these arguments, is a helper."""
    asked = args[0] if args else kwargs.get("args", kwargs.get("path", ""))
    program = asked if isinstance(asked, str | bytes | os.PathLike) else [*asked, ""][0]
    return PurePath(os.fsdecode(program)).name in HELPERS
