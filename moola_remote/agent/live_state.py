"""The state of a run while a supervisor lives: saved by rename, kept fresh by heartbeats."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import Any, Optional, Sequence

from moola_remote.agent.constants import HEARTBEAT_S, TELEMETRY_S, TICK_S, TIMES_S, Json
from moola_remote.agent.errors import report
from moola_remote.agent.files import append, read_json, size_of
from moola_remote.agent.gpus import idleness
from moola_remote.agent.layout import Pod, Run
from moola_remote.agent.restart_guard import ensure_guard
from moola_remote.agent.telemetry import Telemetry


class LiveState:
    """The state that one supervisor writes, and the waits between which it is refreshed."""

    def __init__(self, pod: Pod, run: Run) -> None:
        self.pod = pod
        self.run = run
        self.values = run.state()
        self.telemetry = Telemetry(pod.root)
        self.keeper_pipe: Optional[int] = None
        self.is_saved = False
        self.next_beat = 0.0
        self.next_sample = 0.0
        self.next_time = 0.0
        self.timed_size = 0

    def save(self, *, sync: bool = True, **changes: Any) -> None:
        """Change the state; a failed write is tried again with the next heartbeat."""
        self.values.update(changes, heartbeat_at=time.time())
        self.values.update(log_size=size_of(self.run.log), events_size=size_of(self.run.events))
        try:
            self.run.write("state.json", self.values, sync=sync)
        except OSError as err:
            if self.is_saved:
                report(f"state not written: {err}")
            self.is_saved = False
        else:
            self.is_saved = True
        self.next_beat = time.monotonic() + (HEARTBEAT_S if self.is_saved else 1.0)

    def pause(self, seconds: float = TICK_S, bells: Sequence[int] = ()) -> None:
        """Wait, at most until the keeper ends; send the heartbeat and sample telemetry when due.

        Args:
            seconds: the longest wait; no longer than until the next heartbeat.
            bells: descriptors that end it when they become readable.
        """
        now = time.monotonic()
        if now >= self.next_beat:
            self.save(sync=False)
            ensure_guard(self.pod)
        if self.values["state"] == "RUNNING":
            if now >= self.next_time:
                self.note_size(now)
            if now >= self.next_sample:
                self.next_sample = now + TELEMETRY_S
                self.telemetry.begin()
            sample = self.telemetry.collect()
            if sample is not None:
                self.take_sample(sample)
        seconds = max(0.0, min(seconds, self.next_beat - now))
        pipes = [] if self.keeper_pipe is None else [self.keeper_pipe]
        if self.keeper_pipe in select.select([*pipes, *bells], [], [], seconds)[0]:
            os.close(pipes[0])
            self.keeper_pipe = None

    def take_sample(self, sample: Json) -> None:
        """Record a telemetry event, and count how often the run left its machine idle."""
        is_idle = idleness(sample, self.values["gpu"], self.values.get("gpus"))
        self.run.add_event("telemetry", **sample, idle=is_idle)
        if is_idle is not None:
            idle, total = self.values.get("samples") or [0, 0]
            idle, total = idle + is_idle, total + 1
            self.values.update(samples=[idle, total], idle_share=round(idle / total, 4))

    def note_size(self, now: float) -> None:
        """Record how long the log is now, so that a time can be turned into an offset later."""
        size = size_of(self.run.log)
        if size != self.timed_size:
            with contextlib.suppress(OSError):
                append(self.run.times, f"{time.time():.3f} {size}\n")
                self.timed_size, self.next_time = size, now + TIMES_S

    def beat(self) -> None:
        """Refresh the heartbeat while files are hashed; the end is stored once it is complete."""
        if time.monotonic() >= self.next_beat:
            stored = read_json(self.run.path / "state.json") or {}
            with contextlib.suppress(OSError):
                self.run.write("state.json", {**stored, "heartbeat_at": time.time()}, sync=False)
            self.next_beat = time.monotonic() + HEARTBEAT_S
