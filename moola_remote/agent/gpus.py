"""What nvidia-smi says."""

from __future__ import annotations

from typing import List, Optional

from moola_remote.agent.constants import IDLE_PERCENT, Json
from moola_remote.agent.lazy import subprocess
from moola_remote.agent.processes import is_on_path


def query_gpus(fields: str) -> List[str]:
    return ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]


def gpu_rows(fields: str) -> List[List[str]]:
    """One row a GPU; none where there is no driver."""
    if not is_on_path("nvidia-smi"):
        return []
    try:
        done = subprocess.run(query_gpus(fields), capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_rows(done.stdout) if done.returncode == 0 else []


def parse_rows(output: bytes) -> List[List[str]]:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return [[cell.strip() for cell in line.split(",")] for line in lines]


def count_gpus() -> int:
    return len(gpu_rows("index"))


def number(cell: str) -> Optional[float]:
    """Return a cell of nvidia-smi; None for ``[N/A]``."""
    try:
        return float(cell)
    except ValueError:
        return None


def mebibytes(cell: str) -> Optional[int]:
    value = number(cell)
    return None if value is None else int(value) << 20


def idleness(sample: Json, gpu: Optional[int], gpus: Optional[List[int]] = None) -> Optional[bool]:
    """Return whether the run's GPUs (without any, the CPU) are idle; None if unknown."""
    held = gpus or ([] if gpu is None else [gpu])
    ours = [one for one in sample["gpus"] if not held or one["index"] in held]
    ours = ours or sample["gpus"]
    uses = [one["use_percent"] for one in ours] or [sample["cpu_percent"]]
    known = [use for use in uses if use is not None]
    return max(known) < IDLE_PERCENT if known else None


def gpu_sample(row: List[str]) -> Json:
    index, use, used, total, temperature, power = (*row, *[""] * 6)[:6]
    return {
        "index": int(number(index) or 0),
        "use_percent": number(use),
        "memory_used": mebibytes(used),
        "memory_total": mebibytes(total),
        "temperature_c": number(temperature),
        "power_w": number(power),
    }
