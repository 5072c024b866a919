"""A rented pod under random faults: whatever happens to it, it is stopped at its deadline.

The pod's agent and guard are real, on a disk of their own; RunPod is the double.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from moola_remote.providers.runpod.client import RunpodClient
from tests.campaign.machine import Disk
from tests.support.pods import AgentPod, is_gone, wait_until
from tests.support.runpod_double import GPU, IMAGE, KEY, Double, Fault, serving

BODY = {"name": "x", "image": IMAGE, "gpu": {"id": GPU}, "ports": ["22/tcp"]}
# Ends well at SIGTERM, or not at all.
JOBS = ("trap 'exit 143' TERM; ", "trap '' TERM; ")
FAULTS: tuple[Fault | None, ...] = (None, None, "429", "500", "html", "html-200", "lost")
# A guard ends the runs first, and the machine may be busy.
SLACK_S = 15.0


class Rental:
    """One rented pod from its start to its deadline.

    Args:
        seed: decides every step.

    Attributes:
        steps: what was done, a line each.
        counts: of runs and faults.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.steps: list[str] = []
        self.counts: Counter[str] = Counter()
        self._stop_at = float("inf")
        self._is_late = False

    def live(self, num_steps: int) -> None:
        """Take so many steps, then wait for the deadline.

        Raises:
            AssertionError: the pod is stopped too early, too late, or by something else.
        """
        rules = (self._start, self._list, self._kill_the_guard, self._fail, self._fill, self._again)
        with tempfile.TemporaryDirectory() as folder, serving(Double()) as self.double:
            self._disk = Disk(Path(folder, "disk"), 4)
            self.pod = AgentPod(self._disk.path / "root")
            # The pod's clock is behind the API's, or before it.
            self.double.ahead_s = self.rng.choice((0.0, 0.0, -90_000.0, 90_000.0))
            with RunpodClient(KEY, self.double.url) as client:
                self.rented = self.double.pods[client.create(BODY).id]
            self.pod.env = {"RUNPOD_POD_ID": self.rented.id, "RUNPOD_API_KEY": self.rented.key}
            try:
                self._again()
                for rule in self.rng.choices(rules, k=num_steps):
                    if self._is_late or self._left_s() < 0.2:
                        break  # it may be on its way out, whoever says what now
                    assert self.rented.status == "RUNNING", "stopped early"
                    rule()
                self._conclude()
            finally:
                self._disk.free()
                self.pod.clear()
                self._disk.close()

    def _conclude(self) -> None:
        """Let the API answer again: a guard that is there, or comes back, stops the pod."""
        self.double.fault = lambda _: None
        with contextlib.suppress(AssertionError):
            self.pod.ask("list")  # the next command of anybody's
        wait_until(self._is_stopped, timeout_s=max(self._left_s(), 0.0) + SLACK_S)
        assert self._is_late or self._left_s() < 1.0, f"stopped {self._left_s():.1f} s early"
        assert self.double.wrong == []

    def _is_stopped(self) -> bool:
        return self.rented.status == "EXITED"

    def _left_s(self) -> float:
        return self._stop_at - (time.time() + self.double.ahead_s)

    # ---- rules

    def _again(self) -> None:
        """Set the deadline, as each command of the laptop's does."""
        stop_at = time.time() + self.double.ahead_s + self.rng.uniform(2.0, 5.0)
        settings = {"api": self.double.url, "idle_stop_s": None, "stop_at": stop_at, "tick_s": 0.05}
        answer = self.pod.ask("guard", stdin=settings)
        self._is_late = self._left_s() < 0.2  # the guard had reached the earlier one
        if answer["ok"]:
            self._stop_at = stop_at
        self._note(f"guard: {answer}")

    def _start(self) -> None:
        self.counts["runs"] += 1
        job = f"{self.rng.choice(JOBS)}while :; do sleep 0.1; done"
        run_id = f"20261122-153012-job-{self.counts['runs']:04x}"
        spec = {"run_id": run_id, "argv": ["sh", "-c", job], "gpu": -1, "grace_s": 0.5}
        self._note(f"start {run_id}: {self.pod.ask('start', stdin=spec)}")

    def _list(self) -> None:
        self._note(f"list: {self.pod.ask('list')['ok']}")

    def _kill_the_guard(self) -> None:
        guards = self._guards()
        for pid in guards:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Until it is gone it holds its lock, and nobody misses it; its command line goes before.
        wait_until(lambda: all(map(is_gone, guards)))
        self._fault("kill -9 of the guard")

    def _guards(self) -> list[int]:
        mark, found = os.fsencode(self.pod.root), []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                if mark in words and b"guard" in words:
                    found.append(int(path.name))
        return found

    def _fail(self) -> None:
        """Let some of the API's calls fail from now on."""
        fault, share = self.rng.choice(FAULTS), self.rng.uniform(0.2, 1.0)
        draw = random.Random(self.rng.random())
        self.double.fault = lambda _: fault if draw.random() < share else None
        self._fault(f"of the API's calls {share:.0%} answer {fault}")

    def _fill(self) -> None:
        """Fill the disk, or give its room back."""
        if self.rng.random() < 0.6:
            self._disk.fill()
            self._fault("the pod's disk is full")
        else:
            self._disk.free()
            self._note("the pod's disk has room")

    def _fault(self, what: str) -> None:
        self.counts["faults"] += 1
        self._note(what)

    def _note(self, what: str) -> None:
        self.steps.append(f"{self._left_s():6.1f} s left, {what}")
