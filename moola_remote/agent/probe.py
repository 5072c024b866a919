"""``probe``: what the pod is and has."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, List, Optional

from moola_remote.agent.constants import ROOM_BYTES, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import write_error
from moola_remote.agent.gpus import gpu_rows, mebibytes
from moola_remote.agent.layout import Pod
from moola_remote.agent.lazy import subprocess
from moola_remote.agent.linking import link
from moola_remote.agent.made_environment import look
from moola_remote.agent.processes import is_on_path
from moola_remote.agent.telemetry import cpu_count, disk_free, memory
from moola_remote.agent.trees import check_digest, reserve


def probe(pod: Pod, text: str) -> Json:
    """Report what the pod is and has.

    Args:
        pod: to look at.
        text: an object with ``environment``, the lists of packages that one is named by, where a
            deploy wants to know whether it is there; with ``reserve``, digests by kind: those of
            code and data that are here stay until a run names them, or a day; with ``link``, what
            `link` takes for a tree of code that a deploy would ask for next; or anything else.
    """
    pod.make()
    asked = read_request(text)
    for kind, digest in (asked.get("reserve") or {}).items():
        check_digest(digest)
        reserve(pod, kind, digest)
    version = sys.version.split()[0]
    system = os.uname()
    rows = gpu_rows("name,memory.total")
    is_sealed = make_tree(pod, asked.get("link"))
    return {
        "python": version,
        "gpus": [{"name": row[0], "memory_total": mebibytes(row[1])} for row in rows],
        "cpus": cpu_count(),
        "ram_total": memory()[1],
        "disk_free": disk_free(pod.root),
        "rsync": rsync_version(),
        "cuda_driver": cuda_of_driver(),
        "has_venv": has_module("venv"),
        "write_error": write_error(pod.root, ROOM_BYTES),
        "noexec": bool(os.statvfs(str(pod.root)).f_flag & os.ST_NOEXEC),
        "platform": f"{system.sysname}-{system.release}-{system.machine}",
        "hostname": system.nodename,
        "now": time.time(),
        "sealed": is_sealed,
        "trees": {kind: complete(pod.root / kind) for kind in ("code", "data")},
        "environments": complete(pod.root / "env"),
        "environment": look(pod, version, asked.get("environment"), [row[0] for row in rows]),
    }


def make_tree(pod: Pod, wanted: Any) -> bool:
    """Return whether a tree of code could be made of what came and what is here, and was not here.

    Where it could not, a deploy goes the long way, and says what is wrong.
    """
    if not isinstance(wanted, dict) or not complete(pod.root / "code"):
        return False
    with contextlib.suppress(AgentError, OSError):
        return bool(link(pod, "code", str(wanted.get("digest")), wanted).get("sealed"))
    return False


def read_request(text: str) -> Json:
    """Return what stdin asks for beside the usual; nothing where it is no object."""
    with contextlib.suppress(ValueError):
        value = json.loads(text)
        if isinstance(value, dict):
            return value
    return {}


def cuda_of_driver() -> Optional[str]:
    """Return the newest CUDA that the driver knows; None without a driver."""
    if not is_on_path("nvidia-smi"):
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["nvidia-smi"], capture_output=True, timeout=20, check=False)
        found = re.search(rb"CUDA Version: *([0-9]+\.[0-9]+)", done.stdout)
        return found.group(1).decode() if found else None
    return None


def has_module(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def room(pod: Pod, size: int) -> Json:
    """Answer ``room``: why `size` bytes can't be written, or null."""
    return {"write_error": write_error(pod.root, size)}


def rsync_version() -> Optional[str]:
    try:
        done = subprocess.run(["rsync", "--version"], capture_output=True, check=False)
    except OSError:
        return None
    found = re.search(rb"version v?(\S+)", done.stdout)
    return found.group(1).decode() if found else None


def complete(folder: Path) -> List[str]:
    """Digests of what is there with its list or marker, the oldest first."""
    records = sorted(folder.glob("[0-9a-f]*.json"), key=lambda path: path.stat().st_mtime)
    return [path.stem for path in records if (folder / path.stem).is_dir()]
