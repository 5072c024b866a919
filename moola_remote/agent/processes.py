"""Processes by identity (pid and start time), and the signals to them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Callable, Dict, FrozenSet, List, NamedTuple, Optional, Set, Tuple

from moola_remote.agent.constants import KILL_PATIENCE_S, Json


class Process(NamedTuple):
    """One line of /proc: enough to know a process again, also when its number was given away."""

    pid: int
    status: str
    parent: int
    session: int
    start_ticks: int

    @property
    def is_alive(self) -> bool:
        """A zombie is dead: under a pid 1 that reaps no children it would live for ever."""
        return self.status not in "ZX"


def process(pid: int) -> Optional[Process]:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The name in brackets may hold anything, brackets and spaces too.
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(pid, fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def boot() -> str:
    """Return an id of this life of the machine or container.

    In a container the boot id is the host's: the start of pid 1 and the pid namespace distinguish
    two lives of it. A file made at first use would, too, but whatever tidies it away (systemd's
    RemoveIPC, tmpfiles) would make living jobs look lost.
    """
    first = process(1)
    try:
        host = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - a link that must be followed
    except OSError:
        host, namespace = "unknown", 0
    return f"{host}:{first.start_ticks if first else 0}:{namespace}"


def identity(pid: int) -> Json:
    found = process(pid)
    return {"pid": pid, "start_ticks": found.start_ticks if found else 0, "boot": boot()}


def is_alive(who: Optional[Json]) -> bool:
    """Return whether exactly this process lives: same number, same start, same boot."""
    if not who or who.get("boot") != boot():
        return False
    found = process(who["pid"])
    return found is not None and found.is_alive and found.start_ticks == who["start_ticks"]


def living_members(
    run_id: str, job: Optional[Json], parent: int = 0, spared: FrozenSet[int] = frozenset()
) -> Dict[int, Process]:
    """Return every living process of a run.

    Args:
        run_id: processes with its mark in the environment are found wherever they are.
        job: the processes of its session; they count only while the job itself lives, since
            afterwards the number may be another's.
        parent: a subreaper; its descendants are found without mark and session too.
        spared: children of `parent` that are no part of the run.
    """
    mark = f"\0MOOLA_RUN_ID={run_id}\0".encode()
    session = job["pid"] if job and is_alive(job) else None
    numbers = (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208 - many
    table = {one.pid: one for one in map(process, numbers) if one is not None}
    below = descendants(table, parent, spared) if parent else set()
    return {
        pid: one
        for pid, one in table.items()
        if one.is_alive and (one.session == session or pid in below or mark in environment_of(pid))
    }


def descendants(table: Dict[int, Process], parent: int, spared: FrozenSet[int]) -> Set[int]:
    """Return the numbers of all processes below `parent`, but `spared` and what is below those."""
    children: Dict[int, List[int]] = {}
    for one in table.values():
        children.setdefault(one.parent, []).append(one.pid)
    found: Set[int] = set()
    todo = [parent]
    while todo:
        for pid in children.get(todo.pop(), []):
            if pid not in found and pid not in spared:
                found.add(pid)
                todo.append(pid)
    return found


def environment_of(pid: int) -> bytes:
    try:
        return b"\0" + Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
    except OSError:
        return b""


def send_signal(target: Process, number: int) -> None:
    """Send a signal to this very process, or to none."""
    try:
        fd = os.pidfd_open(target.pid) if hasattr(os, "pidfd_open") else None
    except OSError as err:
        if err.errno == errno.ESRCH:
            return
        fd = None  # a kernel or a sandbox without pidfd
    try:
        now = process(target.pid)
        if now is None or now.start_ticks != target.start_ticks:
            return
        with contextlib.suppress(ProcessLookupError):
            if fd is None:
                os.kill(target.pid, number)
            else:
                signal.pidfd_send_signal(fd, number)
    finally:
        if fd is not None:
            os.close(fd)


def end_all(
    look: Callable[[], Dict[int, Process]],
    pause: Callable[[], None],
    grace_s: float,
    patience_s: float = KILL_PATIENCE_S,
) -> Tuple[int, int]:
    """End processes by SIGTERM, then SIGKILL.

    Each is found again by pid and start time before each signal. A process that was seen once
    stays known, also when it is no longer found.

    Args:
        look: finds those to end, by pid.
        pause: called between two looks.
        grace_s: between SIGTERM and SIGKILL, seconds.
        patience_s: after SIGKILL, seconds.

    Returns:
        How many were sent a signal, and how many still live.
    """
    kill_at = time.monotonic() + grace_s
    known: Dict[int, Process] = {}
    sent: Set[Tuple[int, int, int]] = set()
    was_clear = False
    while True:
        known.update(look())
        left = [one for one in known.values() if still_lives(one)]
        now = time.monotonic()
        if (not left and was_clear) or now > kill_at + patience_s:
            return len({key[:2] for key in sent}), len(left)
        was_clear = not left  # one look misses a process in the middle of an exec
        number = signal.SIGTERM if now < kill_at else signal.SIGKILL
        for one in left:
            key = (one.pid, one.start_ticks, int(number))
            if key not in sent:
                sent.add(key)
                send_signal(one, number)
        pause()


def still_lives(one: Process) -> bool:
    """Return whether it is still the same, living process."""
    now = process(one.pid)
    return now is not None and now.is_alive and now.start_ticks == one.start_ticks


def adopt_orphans(is_on: bool = True) -> None:
    """Adopt orphaned descendants (PR_SET_CHILD_SUBREAPER), or stop doing so."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(36, int(is_on), 0, 0, 0)


def adopts_orphans() -> bool:
    """Return whether `adopt_orphans` is in force (PR_GET_CHILD_SUBREAPER)."""
    if "ctypes" not in sys.modules:  # it was never called
        return False
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        answer = ctypes.c_int(0)
        return ctypes.CDLL(None).prctl(37, ctypes.byref(answer), 0, 0, 0) == 0 and bool(answer)
    return False


def is_on_path(program: str) -> bool:
    """Return whether there is such a program; `shutil.which` would import decompressors."""
    return any(os.access(os.path.join(folder, program), os.X_OK) for folder in os.get_exec_path())  # noqa: PTH118


def oom_kills() -> int:
    """How often the kernel has killed for memory: cgroup v2's count, or v1's, or the machine's."""
    places = [
        Path("/sys/fs/cgroup/memory.events"),
        Path("/sys/fs/cgroup/memory/memory.oom_control"),
    ]
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                places.insert(0, Path(f"/sys/fs/cgroup{path}/memory.events"))
            elif "memory" in controllers.split(","):
                places.insert(0, Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control"))
    for place in [*places, Path("/proc/vmstat")]:
        with contextlib.suppress(OSError):
            found = re.search(r"^oom_kill (\d+)", place.read_text(encoding="ascii"), re.MULTILINE)
            if found:
                return int(found.group(1))
    return 0
