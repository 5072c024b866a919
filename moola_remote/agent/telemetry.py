"""Samples of GPUs, CPU, memory and disk."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path
from typing import List, Optional, Tuple

from moola_remote.agent.constants import TELEMETRY_S, Json
from moola_remote.agent.gpus import gpu_sample, parse_rows, query_gpus
from moola_remote.agent.lazy import subprocess
from moola_remote.agent.processes import is_on_path


class Telemetry:
    """GPU, CPU, memory and disk; nvidia-smi may hang, so it is never waited for."""

    FIELDS = "index,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.has_gpus = is_on_path("nvidia-smi")
        self.query: Optional[subprocess.Popen[bytes]] = None
        self.give_up = 0.0
        self.is_due = False
        self.cpu = cpu_times()

    def begin(self) -> None:
        self.is_due = True
        if self.has_gpus and self.query is None:
            self.give_up = time.monotonic() + TELEMETRY_S / 2
            with contextlib.suppress(OSError):
                argv = query_gpus(self.FIELDS)
                nowhere = subprocess.DEVNULL
                self.query = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=nowhere)

    @property
    def pid(self) -> Optional[int]:
        """The process that asks the GPUs, while it runs."""
        return self.query.pid if self.query is not None else None

    def collect(self) -> Optional[Json]:
        """Return a sample once it is complete; without the GPUs if they don't answer."""
        if not self.is_due:
            return None
        gpus: List[Json] = []
        if self.query is not None:
            if self.query.poll() is None:
                if time.monotonic() < self.give_up:
                    return None
                self.query.kill()
            else:
                assert self.query.stdout is not None
                gpus = [gpu_sample(row) for row in parse_rows(self.query.stdout.read())]
            if self.query.stdout is not None:
                self.query.stdout.close()
            self.query = None
        self.is_due = False
        return {"gpus": gpus, **self.host()}

    def host(self) -> Json:
        before, self.cpu = self.cpu, cpu_times()
        busy, total = self.cpu[0] - before[0], self.cpu[1] - before[1]
        used, available = memory()
        return {
            "cpu_percent": round(100 * busy / total, 1) if total > 0 else None,
            "ram_used": used,
            "ram_total": available,
            "disk_free": disk_free(self.root),
        }


def cpu_times() -> Tuple[int, int]:
    """Busy and all jiffies since boot."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0, 0
    times = [int(field) for field in fields]
    return sum(times) - times[3] - times[4], sum(times)


def memory() -> Tuple[Optional[int], Optional[int]]:
    """Bytes used and bytes there are: the container's, where it has a limit."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None, None
    sizes = {
        key: int(size) << 10 for key, size in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)
    }
    total = sizes.get("MemTotal", 0)
    used = total - sizes.get("MemAvailable", 0)
    for limit, now in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        with contextlib.suppress(OSError, ValueError):
            allowed = int(Path(limit).read_text(encoding="ascii"))
            if allowed < total:
                return int(Path(now).read_text(encoding="ascii")), allowed
    return used, total


def disk_free(path: Path) -> Optional[int]:
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def cpu_count() -> int:
    """Processors that we may use: a container's share where it has one."""
    count = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        count = min(count, max(1, -(-int(quota) // int(period))))
    return count
