"""The one file of ours that runs on a pod: Python 3.8+, standard library alone.

The contract is docs/protocol.md. Three processes stand behind a run; no single death loses it:

    supervisor   queues, starts, watches, cancels, measures; the only writer of ``state.json``
    keeper       the job's parent; does nothing but wait, and record how the job ended
    job          in a session of its own

Supervisor killed: the keeper still records the end; the next call of this file starts a new
supervisor. Keeper killed: the job becomes the supervisor's child (subreaper), which then learns
its exit code. Both killed: the job lives on and is watched, but its exit code can't be known: LOST.

What is ours alone in a run's folder begins with a dot:

    .lock            flock, held by the supervisor as long as it lives
    .job.lock        flock, held by the keeper as long as it lives
    .job.json        which process is the job; written before its program runs: no file, never ran
    .exit.json       how the job ended
    .cancel.json     the wish to cancel
    .secrets.json    the values of the run's secrets, until it has ended
    .times           "time size" a line: how long the log was, once a second while it grows
    .reserve         space given back when the disk is full, so that an end can still be recorded
    .supervisor.log  what the supervisor and ``on_finish`` print

Durations come from clocks that nobody can set; the times of day in the files are for people.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import json
import os
import re
import select
import signal
import stat
import sys
import time
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    BinaryIO,
    Callable,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Set,
    Tuple,
)


class Later:
    """A module that is imported when it is first used: most calls need none of these."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, key: str) -> Any:
        return getattr(__import__(self.name), key)


if TYPE_CHECKING:
    import hashlib
    import shutil
    import subprocess
else:
    hashlib, shutil, subprocess = Later("hashlib"), Later("shutil"), Later("subprocess")

Json = Dict[str, Any]

SCHEMA = 1
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST")
STATES = ("QUEUED", "PREPARING", "RUNNING", *ENDED)
# Of what kind the keys of a state are that we reckon with, where they are not null.
SHAPE = (
    ((int, float), ("queued_at", "started_at", "ended_at", "heartbeat_at")),
    ((int,), ("ticket", "killed", "gpu")),
    ((dict,), ("supervisor", "job")),
    ((list,), ("wants", "samples", "last_lines")),
)
PREEMPTED_CODE = 143
GRACE_S = 10.0  # where a spec has none
NO_GPU = -1

TICK_S = 0.2
HEARTBEAT_S = 5.0
TELEMETRY_S = 10.0
TIMES_S = 1.0
# A run of another boot whose heart beat as lately as this may live on another machine that shares
# our volume.
FRESH_S = 30.0
# RunPod kills 5 s after SIGTERM.
POD_STOP_GRACE_S = 4.0
STRAGGLER_GRACE_S = 2.0
KILL_PATIENCE_S = 10.0
# What `cancel` waits past the grace, for SIGKILL, stragglers and the manifest.
CANCEL_PATIENCE_S = 30.0
LAST_LINES = 25
LIMIT_REACHED = "its limit was reached"
IDLE_PERCENT = 5
RESERVE_BYTES = 1 << 16
ROOM_BYTES = 1 << 24
BLOCK = 1 << 18
JSON_BYTES = 1 << 26
FACTS = 1 << 24  # of all runs' recipes together
# A line or two is the rule, and to make room for a large block costs more than to fill it.
FIRST_BLOCK = 1 << 13


class AgentError(Exception):
    """What a caller is told: a code for programs, a line for people, perhaps more keys."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = {"ok": False, "error": code, "message": message, **more}


# ---- files and locks -----------------------------------------------------------------------


def write_json(path: Path, value: Any, *, sync: bool = True) -> bytes:
    """Replace a file in one step: a reader sees the old one or the new one, power cuts included."""
    content = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    aside = path.parent / f".{path.name.lstrip('.')}.{os.getpid()}.aside"
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    if sync:
        sync_folder(path.parent)
    return content


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that a job may have replaced: its pipe never answers, its device never ends.

    Raises:
        FileNotFoundError: there is no regular file.
    """
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise FileNotFoundError(errno.ENOENT, "expected a regular file", str(path))


def append(path: Path, line: str) -> None:
    """Add a line with one write."""
    fd = open_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_json(path: Path) -> Optional[Json]:
    """The object in a file; None where there is none, or none that can be read."""
    try:
        with os.fdopen(open_file(path), "rb") as file:
            if os.fstat(file.fileno()).st_size > JSON_BYTES:
                return None
            value = json.loads(file.read(JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def head(path: Path, limit: int) -> bytes:
    with os.fdopen(open_file(path), "rb") as file:
        return file.read(limit)


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def last_lines(path: Path) -> List[str]:
    """The end of a log; a progress bar as a terminal would leave it."""
    try:
        with os.fdopen(open_file(path), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - BLOCK // 4))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.rstrip("\n").split("\n")[-LAST_LINES:] if text.strip() else []
    return [line.rstrip("\r").rpartition("\r")[2][:500] for line in lines]


def lock(path: Path, *, patience_s: Optional[float] = None) -> Optional[int]:
    """Take a lock file; None if somebody still has it after `patience_s` (None waits for ever).

    Returns:
        A descriptor: the lock lasts until every copy of it is closed, by whatever death.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if patience_s is None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd
    give_up = time.monotonic() + patience_s
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        if time.monotonic() >= give_up:
            os.close(fd)
            return None
        time.sleep(0.01)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    fd = lock(path)
    assert fd is not None
    try:
        yield
    finally:
        os.close(fd)


def is_locked(path: Path) -> bool:
    """Whether a living process holds it; a shared lock disturbs nobody but for microseconds."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


# ---- processes -----------------------------------------------------------------------------


class Process(NamedTuple):
    """One line of /proc: enough to know a process again, also when its number was given away."""

    pid: int
    status: str
    session: int
    start_ticks: int

    @property
    def is_alive(self) -> bool:
        """A zombie is dead: under a pid 1 that reaps nobody it would live for ever."""
        return self.status not in "ZX"


def process(pid: int) -> Optional[Process]:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The name in brackets may hold anything, brackets and spaces too.
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(pid, fields[0].decode(), int(fields[3]), int(fields[19]))


def boot() -> str:
    """This life of this machine or container.

    In a container the boot id is the host's: the start of pid 1 and the pid namespace tell two
    lives of it apart. A file made at first use would, too, but whatever tidies it away (systemd's
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
    """Whether exactly this process lives: same number, same start, same boot."""
    if not who or who.get("boot") != boot():
        return False
    found = process(who["pid"])
    return found is not None and found.is_alive and found.start_ticks == who["start_ticks"]


def living_members(run_id: str, job: Optional[Json]) -> Dict[int, Process]:
    """Every living process of a run: the job's session, and who has its mark in the environment.

    The session counts only while the job itself lives: afterwards its number may be another's.
    """
    mark = f"\0MOOLA_RUN_ID={run_id}\0".encode()
    session = job["pid"] if job and is_alive(job) else None
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - thousands of names, not paths
        if not name.isdigit():
            continue
        one = process(int(name))
        if one is None or not one.is_alive:
            continue
        if one.session == session or mark in environment_of(one.pid):
            found[one.pid] = one
    return found


def environment_of(pid: int) -> bytes:
    try:
        return b"\0" + Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
    except OSError:
        return b""


def tell(target: Process, number: int) -> None:
    """Send a signal to this very process, or to nobody."""
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


def adopt_orphans() -> None:
    """Become the parent of whoever below us loses his own (PR_SET_CHILD_SUBREAPER)."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


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


# ---- secrets of a run ----------------------------------------------------------------------


class Mask:
    """Strikes secrets out of what a job writes, by as many stars: offsets stay what they are."""

    FILE = ".secrets.json"
    SHORTEST = 6

    def __init__(self, values: List[str]) -> None:
        texts = {text for value in values for text in [value, *value.splitlines()]}
        # As they stand in events and in Python's messages, too.
        escaped = {json.dumps(text, ensure_ascii=False)[1:-1] for text in texts}
        escaped |= {repr(text)[1:-1] for text in texts}
        texts |= escaped | {json.dumps(text)[1:-1] for text in texts}
        # An environment may hold any bytes.
        whole = {text.encode("utf-8", "surrogateescape") for text in texts}
        forms = {form for form in whole if len(form) >= self.SHORTEST}
        self.forms = sorted(forms, key=len, reverse=True)  # one may hold another
        self.pattern = re.compile(b"|".join(map(re.escape, self.forms)) or b"(?!)")
        # A secret may begin so many bytes before what is looked at.
        self.reach = max(map(len, self.forms), default=1) - 1

    @classmethod
    def of(cls, run: Run) -> Optional[Mask]:
        secrets = read_json(run.path / cls.FILE)
        return cls(list(secrets.values())) if secrets else None

    def strike(self, data: bytes) -> bytes:
        return self.pattern.sub(lambda found: b"*" * len(found.group()), data)

    def begun(self, data: bytes) -> int:
        """How many bytes at the end may be a secret's beginning; one or two would tell nothing."""
        for length in range(min(self.reach, len(data)), 2, -1):
            end = data[-length:]
            if any(len(form) > length and form.startswith(end) for form in self.forms):
                return length
        return 0

    def strike_file(self, path: Path) -> None:
        with os.fdopen(open_file(path, os.O_RDWR), "r+b", buffering=0) as file:
            at, block = 0, b"-"
            while block:
                block = os.pread(file.fileno(), BLOCK + self.reach, at)
                struck = self.strike(block)
                if struck != block:
                    os.pwrite(file.fileno(), struck, at)
                at += BLOCK


@contextlib.contextmanager
def told_of(what: str) -> Iterator[None]:
    """An error of files costs no more than a line on stderr."""
    try:
        yield
    except OSError as err:
        print(f"{what}: {err}", file=sys.stderr, flush=True)


def wipe_secrets(run: Run) -> None:
    """Strike a run's secrets out of its log and events, then overwrite and remove their values."""
    mask, path = Mask.of(run), run.path / Mask.FILE
    if mask is None:
        return
    for written in (run.log, run.events):
        with told_of("secrets not struck out"):
            mask.strike_file(written)
    with contextlib.suppress(OSError), path.open("r+b") as file:
        file.write(bytes(size_of(path)))
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(OSError):
        path.unlink()


# ---- folders -------------------------------------------------------------------------------


class Run:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.log = path / "log"
        self.events = path / "events.jsonl"
        self.times = path / ".times"
        self.lock = path / ".lock"
        self.job_lock = path / ".job.lock"
        self.manifest = path / "manifest.json"

    def state(self) -> Json:
        """As it is stored.

        Raises:
            AgentError: the file can't be read.
        """
        state = stored_state(self.path)
        if state is None:
            raise AgentError("bad_run", f"{self.path}/state.json: not readable")
        return state

    def spec(self) -> Json:
        return read_json(self.path / "spec.json") or {}

    def job(self) -> Optional[Json]:
        return read_json(self.path / ".job.json")

    def write(self, name: str, value: Any, *, sync: bool = True) -> bytes:
        """Replace a file of ours; a full disk costs the reserve first, but not for a heartbeat."""
        try:
            return write_json(self.path / name, value, sync=sync)
        except OSError as err:
            if err.errno not in (errno.ENOSPC, errno.EDQUOT) or not sync:
                raise
            with contextlib.suppress(FileNotFoundError):
                (self.path / ".reserve").unlink()
            return write_json(self.path / name, value, sync=sync)

    def add_event(self, kind: str, **keys: Any) -> None:
        """One line with one write; a full disk costs the line, never the job."""
        line = json.dumps({"schema": SCHEMA, "t": time.time(), "kind": kind, **keys}) + "\n"
        with contextlib.suppress(OSError):
            append(self.events, line)


def stored_state(folder: Path) -> Optional[Json]:
    """A run's state as it is stored; None where it can't be read, or is none of this run's."""
    state = read_json(folder / "state.json")
    if state is None or state.get("run_id") != folder.name or state.get("state") not in STATES:
        return None
    for kinds, keys in SHAPE:
        if not all(isinstance(state.get(key), (*kinds, type(None))) for key in keys):
            return None
    whom = [who for who in (state.get("supervisor"), state.get("job")) if who is not None]
    return state if all(isinstance(who.get("pid"), int) for who in whom) else None


class Pod:
    """Everything of ours on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs = root / "runs"
        self.queue_lock = root / "queue.lock"

    def make(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("runs", "code", "data", "checkpoints", "env", "cache"):
            (self.root / name).mkdir(exist_ok=True)

    def gpu_lock(self, index: int) -> Path:
        return self.root / f"gpu-{index}.lock"

    def run(self, run_id: str) -> Run:
        """A run that is there.

        Raises:
            AgentError: it is not.
        """
        check_run_id(run_id)
        run = Run(self.runs / run_id)
        if not run.path.is_dir():
            raise AgentError("unknown_run", f"run {run_id}: there is none of this name on the pod")
        return run

    def all_runs(self) -> Iterator[Tuple[Run, Json]]:
        """Each run with its stored state, oldest first; unreadable ones are passed over."""
        found = []
        for path in self.runs.iterdir() if self.runs.is_dir() else ():
            state = stored_state(path) if not path.name.startswith(".") else None
            if state is not None:
                found.append((state.get("ticket") or 0, path.name, state))
        for _, name, state in sorted(found, key=lambda one: one[:2]):
            yield Run(self.runs / name), state


RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def check_run_id(run_id: Any) -> None:
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise AgentError("bad_request", f"run id {run_id!r}: expected [a-z0-9-], 64 at most")


# ---- starting, exactly once ----------------------------------------------------------------


def start(pod: Pod, spec: Json) -> Json:
    """Start a run unless its folder is there; whoever makes the folder has started it.

    The folder appears by rename, complete: a start that is cut off leaves nothing, or a queued run
    that the next call of this file goes on with.
    """
    check_spec(spec)
    secrets = take_secrets(spec)
    pod.make()
    run = Run(pod.runs / spec["run_id"])
    started = not run.path.exists() and make_run(pod, run, spec, secrets)
    return {"started": started, "state": view(pod, settle(pod, run))}


def check_spec(spec: Json) -> None:
    check_run_id(spec.get("run_id"))
    argv, env = spec.get("argv"), spec.get("env") or {}
    if not isinstance(argv, list) or not argv or not all(isinstance(word, str) for word in argv):
        raise AgentError("bad_request", "spec: argv: expected a list of strings, one at least")
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise AgentError("bad_request", "spec: env: expected an object of strings")
    for kind in ("code", "data", "environment", "checkpoints"):
        if spec.get(kind) is not None:
            check_digest(spec[kind])
    if spec.get("parent") is not None:
        check_run_id(spec["parent"])


def take_secrets(spec: Json) -> Dict[str, str]:
    """The values of a spec's secrets; in the spec, which is kept and fetched, stay their names."""
    secrets = spec.pop("secrets", None) or {}
    is_object = isinstance(secrets, dict)
    for name, value in secrets.items() if is_object else [("secrets", None)]:
        is_name = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and not name.startswith("MOOLA_")
        if not is_name or not is_environment_text(value):
            raise AgentError("bad_request", f"spec: secret {name!r}: expected NAME: value")
    spec["secret_names"] = sorted(secrets)
    return dict(secrets)


def is_environment_text(value: Any) -> bool:
    """Whether a job can be given it."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def make_run(pod: Pod, run: Run, spec: Json, secrets: Dict[str, str]) -> bool:
    """Whether it was we who made the folder."""
    sweep(pod.runs)
    aside = pod.runs / f".new-{run.id}-{os.getpid()}"
    aside.mkdir(mode=0o700)
    try:
        for name in ("log", "events.jsonl", ".lock", ".job.lock", ".supervisor.log"):
            (aside / name).touch(mode=0o600)
        write_json(aside / "spec.json", spec)
        if secrets:
            write_json(aside / Mask.FILE, secrets)
        if spec.get("parent"):
            take_checkpoints(pod, spec, aside / "checkpoints")
        with locked(pod.queue_lock):
            if run.path.exists():
                return False
            state = new_state(run.id, next_ticket(pod), spec.get("price_per_hour"))
            write_json(aside / "state.json", state)
            aside.rename(run.path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    sync_folder(pod.runs)
    if spec.get("checkpoints"):
        taken = put_aside(pod.root / "checkpoints" / spec["checkpoints"])
        shutil.rmtree(taken, ignore_errors=True)
    return True


def sweep(folder: Path) -> None:
    """Remove what a start or a `clean` that was killed has left; a start's holds its secrets."""
    for aside in [*folder.glob(".new-*"), *folder.glob(".removed-*")]:
        pid = aside.name.rpartition("-")[2]
        if pid.isdigit() and process(int(pid)) is None:
            discard(aside)


def discard(path: Path) -> None:
    """Remove a folder; of a link in its place the link alone."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def take_checkpoints(pod: Pod, spec: Json, folder: Path) -> None:
    """Give a run files of its own to go on from: its parent's here, or those that were sent.

    Raises:
        AgentError: there are none, or the parent still runs.
    """
    if spec.get("checkpoints"):
        source = pod.root / "checkpoints" / spec["checkpoints"]
    else:
        parent = pod.run(spec["parent"])
        state = settle(pod, parent)
        if state["state"] not in ENDED:
            message = f"run {parent.id}: {state['state']}, it goes on by itself"
            raise AgentError("not_ended", message)
        source = parent.path / "checkpoints"
    # What begins with a dot was never finished.
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(source, folder, symlinks=True, ignore=shutil.ignore_patterns(".*"))
    if not any(file.is_file() for file in folder.rglob("*")):
        raise AgentError(
            "no_checkpoint", f"run {spec['parent']}: there is no checkpoint to go on from"
        )


def next_ticket(pod: Pod) -> int:
    """A number that grows with each run: the order of the queue, whatever the clock says."""
    ticket = ((read_json(pod.runs / ".tickets") or {}).get("last") or 0) + 1
    write_json(pod.runs / ".tickets", {"last": ticket})
    return int(ticket)


def new_state(run_id: str, ticket: int, price_per_hour: Optional[float]) -> Json:
    now = time.time()
    return {
        "schema": SCHEMA,
        "run_id": run_id,
        "state": "QUEUED",
        "reason": None,
        "returncode": None,
        "signal": None,
        "oom_killed": False,
        "queued_at": now,
        "started_at": None,
        "ended_at": None,
        "heartbeat_at": now,
        "gpu": None,
        "supervisor": None,
        "job": None,
        "last_lines": [],
        "log_size": 0,
        "events_size": 0,
        "manifest_sha256": None,
        "ticket": ticket,
        "wants": None,
        "stopping": None,
        "killed": 0,
        "price_per_hour": price_per_hour,
        "idle_share": None,
        "samples": [0, 0],
        "on_finish": None,
    }


def settle(pod: Pod, run: Run) -> Json:
    """The state, after a run that nobody watches over was given a supervisor."""
    state = run.state()
    if state["state"] not in ENDED and not is_locked(run.lock) and not is_elsewhere(state):
        spawn_supervisor(pod, run)
        state = run.state()
    return state


def is_elsewhere(state: Json) -> bool:
    """Whether another machine that shares our volume seems to watch over this run."""
    who = state.get("supervisor")
    age = abs(time.time() - (state.get("heartbeat_at") or 0))
    return who is not None and who.get("boot") != boot() and age < FRESH_S


def spawn_supervisor(pod: Pod, run: Run) -> None:
    """Start one, and wait until it has taken the run over, or has seen that another has."""
    read_end, write_end = os.pipe()
    errors = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, write_end, 1),
        (os.POSIX_SPAWN_OPEN, 2, str(run.path / ".supervisor.log"), errors, 0o600),
    ]
    # -S: a pod's site-packages are of no use to us, and may take long to look through.
    argv = [sys.executable, "-ISB", str(Path(__file__).resolve()), "--root", str(pod.root)]
    argv += ["supervise", run.id]
    child = os.posix_spawn(sys.executable, argv, os.environ, file_actions=files, setsid=True)
    os.close(write_end)
    select.select([read_end], [], [], 5.0)
    os.close(read_end)
    os.waitpid(child, 0)


def view(pod: Pod, state: Json, others: Optional[List[Json]] = None) -> Json:
    """A state as it is shown: with the place in the queue, the pod's clock, the sizes of now."""
    position = None
    if state["state"] == "QUEUED":
        if others is None:
            others = [other for _, other in pod.all_runs()]
        position = 1 + sum(is_before(other, state) for other in others)
    run = pod.run(state["run_id"])
    sizes = {"log_size": size_of(run.log), "events_size": size_of(run.events)}
    return {**state, **sizes, "queue_position": position, "now": time.time()}


def is_before(other: Json, state: Json) -> bool:
    """Whether `other` waits in front of `state` for a GPU that both could take."""
    if other["state"] != "QUEUED" or (other.get("ticket") or 0) >= (state.get("ticket") or 0):
        return False
    theirs, ours = other.get("wants"), state.get("wants")
    return theirs is None or ours is None or bool(set(theirs) & set(ours))


# ---- the keeper and the job ----------------------------------------------------------------


class Launch(NamedTuple):
    """A job as it is executed."""

    argv: List[str]
    env: Dict[str, str]
    cwd: Path


def prepare(pod: Pod, run: Run, spec: Json) -> Launch:
    """What the spec means on this pod.

    Raises:
        AgentError: the code, the data or the environment is not here.
    """
    needs = {kind: pod.root / kind / spec[kind] for kind in ("code", "data") if spec.get(kind)}
    if spec.get("environment"):
        needs["environment"] = pod.root / "env" / spec["environment"]
    for kind, path in needs.items():
        if not path.is_dir() or not (path.parent / f"{path.name}.json").is_file():
            raise AgentError("not_deployed", f"{kind} {path.name} is not on the pod; deploy it")
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SSH_", "MOOLA_")) and key != "RUNPOD_API_KEY"
    }
    env.update(job_environment(pod, run), **(spec.get("env") or {}))
    env.update(read_json(run.path / Mask.FILE) or {})
    if "data" in needs:
        env["MOOLA_DATA_DIR"] = str(needs["data"])
    if spec.get("parent"):
        env["MOOLA_RESUME_DIR"] = str(run.path)
    argv = list(spec["argv"])
    python = sys.executable
    if "environment" in needs:
        binaries = needs["environment"] / "bin"
        python = str(binaries / "python")
        env["VIRTUAL_ENV"] = str(needs["environment"])
        env["PATH"] = f"{binaries}:{env.get('PATH', os.defpath)}"
    if argv[0] == "python":
        argv[0] = python
    return Launch(argv, env, needs.get("code", run.path))


def job_environment(pod: Pod, run: Run) -> Dict[str, str]:
    return {
        "MOOLA_RUN_ID": run.id,
        "MOOLA_RUN_DIR": str(run.path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPYCACHEPREFIX": str(pod.root / "cache" / "pycache"),
        "NUMBA_CACHE_DIR": str(pod.root / "cache" / "numba"),
    }


def keep(run: Run, launch: Launch) -> int:
    """The keeper's life: start the job, say so on stdout, wait, record the end."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    go_read, go_write = os.pipe()
    error_read, error_write = os.pipe()
    job = os.fork()
    if job == 0:
        os.close(go_write)
        become_job(run, launch, go_read, error_write)
    os.close(go_read)
    os.close(error_write)
    before = oom_kills()
    since = time.clock_gettime(time.CLOCK_BOOTTIME)
    run.write(".job.json", {**identity(job), "oom_kills": before, "since": since})
    os.write(go_write, b"g")
    os.close(go_write)
    error = os.read(error_read, 4096).decode()
    if not error:
        with contextlib.suppress(BrokenPipeError):  # the supervisor may be gone already
            os.write(1, b"running\n")
    _, status = os.waitpid(job, 0)
    if error:
        record_end(run, {"error": error})
        return 0
    record_end(run, {"status": status, "oom_kills": oom_kills(), "ended_at": time.time()})
    return 0


def become_job(run: Run, launch: Launch, go: int, errors: int) -> None:
    """The child's last steps before its program; never returns."""
    try:
        os.setsid()
        log = os.open(run.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        # Python ignores SIGPIPE and SIGXFSZ, the keeper SIGTERM: a program expects none of that.
        for number in ("SIGTERM", "SIGHUP", "SIGINT", "SIGPIPE", "SIGXFSZ"):
            signal.signal(getattr(signal, number), signal.SIG_DFL)
        # When memory runs out the job goes, not who has to tell of it.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("200", encoding="ascii")
        # End of file: the keeper died before it could write down who we are.
        if os.read(go, 1) == b"g":
            os.chdir(launch.cwd)
            os.execvpe(launch.argv[0], launch.argv, launch.env)
    except OSError as err:
        os.write(errors, f"{launch.argv[0]}: {err.strerror}".encode())
    finally:
        os._exit(127)


def record_end(run: Run, end: Json) -> None:
    """Write how the job ended; on a disk without any room, as soon as there is some."""
    while run.path.is_dir():  # a folder that was removed has nobody to tell
        with contextlib.suppress(OSError):
            run.write(".exit.json", end)
            return
        time.sleep(1.0)


# ---- the supervisor ------------------------------------------------------------------------


class Supervisor:
    """Takes one run from where it stands to its end; holds ``.lock`` all the while."""

    def __init__(self, pod: Pod, run: Run, lock_fd: int) -> None:
        self.pod = pod
        self.run = run
        self.lock_fd = lock_fd
        self.spec = run.spec()
        self.state = run.state()
        self.telemetry = Telemetry(pod.root)
        self.gpu_count: Optional[int] = None
        self.gpu_fd: Optional[int] = None
        self.keeper_pipe: Optional[int] = None
        self.told_to_stop = False
        self.is_saved = False
        self.next_beat = 0.0
        self.next_sample = 0.0
        self.next_time = 0.0
        self.timed_size = 0
        self.reaped: Dict[int, int] = {}
        self.ended_runs: Set[str] = set()

    def live(self) -> None:
        adopt_orphans()
        signal.signal(signal.SIGTERM, self.hear_sigterm)
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        self.save(supervisor=identity(os.getpid()))
        # Who spawned us is let go once the run is ours; if it is over already, once that is told.
        if self.has_ended_unseen():
            self.conclude(self.watch())
            return
        acknowledge()
        if not is_locked(self.run.job_lock) and self.run.job() is None:
            if not self.wait_for_gpu():
                return
            failure = self.launch()
            if failure is not None:
                self.conclude(failure)
                return
        self.conclude(self.watch())

    def has_ended_unseen(self) -> bool:
        job = self.run.job()
        return job is not None and not is_locked(self.run.job_lock) and not is_alive(job)

    def hear_sigterm(self, *_: Any) -> None:
        self.told_to_stop = True

    # -- state --

    def save(self, *, sync: bool = True, **changes: Any) -> None:
        """Change the state; what can't be written now is written with the next heartbeat."""
        self.state.update(changes, heartbeat_at=time.time())
        self.state.update(log_size=size_of(self.run.log), events_size=size_of(self.run.events))
        try:
            self.run.write("state.json", self.state, sync=sync)
        except OSError as err:
            if self.is_saved:
                print(f"state not written: {err}", file=sys.stderr, flush=True)
            self.is_saved = False
        else:
            self.is_saved = True
        self.next_beat = time.monotonic() + (HEARTBEAT_S if self.is_saved else 1.0)

    def pause(self, seconds: float = TICK_S) -> None:
        """Wait, less when the keeper ends; the heart beats and the gauges are read meanwhile."""
        now = time.monotonic()
        if now >= self.next_beat:
            self.save(sync=False)
        if self.state["state"] == "RUNNING":
            if now >= self.next_time:
                self.note_size(now)
            if now >= self.next_sample:
                self.next_sample = now + TELEMETRY_S
                self.telemetry.begin()
            sample = self.telemetry.collect()
            if sample is not None:
                self.take_sample(sample)
        if self.keeper_pipe is None:
            time.sleep(seconds)
        elif select.select([self.keeper_pipe], [], [], seconds)[0]:
            os.close(self.keeper_pipe)
            self.keeper_pipe = None

    def take_sample(self, sample: Json) -> None:
        """Tell what the gauges say, and count how often the machine did nothing for us."""
        is_idle = idleness(sample, self.state["gpu"])
        self.run.add_event("telemetry", **sample, idle=is_idle)
        if is_idle is not None:
            idle, total = self.state.get("samples") or [0, 0]
            idle, total = idle + is_idle, total + 1
            self.state.update(samples=[idle, total], idle_share=round(idle / total, 4))

    def note_size(self, now: float) -> None:
        """When the log was how long: what was written since a time lies behind the size of then."""
        size = size_of(self.run.log)
        if size != self.timed_size:
            with contextlib.suppress(OSError):
                append(self.run.times, f"{time.time():.3f} {size}\n")
                self.timed_size, self.next_time = size, now + TIMES_S

    # -- queue --

    def wait_for_gpu(self) -> bool:
        """Wait for our turn; False if there is nothing more to do for us."""
        wanted = self.spec.get("gpu")
        if wanted == NO_GPU:
            return True
        self.gpu_count = count_gpus()
        if wanted is not None and wanted not in range(self.gpu_count):
            here = f"{self.gpu_count} GPUs" if self.gpu_count else "no GPU"
            self.conclude({"error": f"GPU {wanted} was asked for, the pod has {here}"})
            return False
        wants = list(range(max(1, self.gpu_count))) if wanted is None else [wanted]
        self.save(wants=wants)
        while self.gpu_fd is None:
            if (self.run.path / ".cancel.json").exists():
                self.state["stopping"] = "cancel"
                self.conclude({"cancelled": True})
                return False
            if self.told_to_stop:
                return False  # still queued: the pod's next life goes on with it
            if not self.take_gpu(wants):
                self.pause()
        return True

    def take_gpu(self, wants: List[int]) -> bool:
        with locked(self.pod.queue_lock):
            others = self.others()
            busy = {state["gpu_lock"] for state in others if state.get("gpu_lock") is not None}
            free = [
                gpu for gpu in wants if gpu not in busy and not is_locked(self.pod.gpu_lock(gpu))
            ]
            ahead = [state for state in others if is_before(state, self.state)]
            if not free or any(set(state.get("wants") or free) & set(free) for state in ahead):
                return False
            self.gpu_fd = lock(self.pod.gpu_lock(free[0]), patience_s=1.0)
            if self.gpu_fd is None:
                return False
            gpu = free[0] if self.gpu_count else None
            self.save(sync=False, state="PREPARING", gpu=gpu, gpu_lock=free[0])
            return True

    def others(self) -> List[Json]:
        """Runs that wait with a supervisor, or run; the ended ones are never read twice."""
        found = []
        for path in self.pod.runs.iterdir():
            if path.name in self.ended_runs or path.name.startswith(".") or path == self.run.path:
                continue
            run, state = Run(path), stored_state(path)
            if state is None or state["state"] in ENDED:
                self.ended_runs.add(path.name)
            elif is_locked(run.lock) or is_locked(run.job_lock) or is_alive(run.job()):
                found.append(state)
        return found

    # -- job --

    def launch(self) -> Optional[Json]:
        """Start the keeper with its job; an end if that failed."""
        with contextlib.suppress(OSError):
            (self.run.path / ".reserve").write_bytes(bytes(RESERVE_BYTES))
        try:
            launch = prepare(self.pod, self.run, self.spec)
        except AgentError as err:
            return {"error": str(err)}
        if (self.gpu_count or 0) > 1 and self.state["gpu"] is not None:
            launch.env.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
            launch.env["CUDA_VISIBLE_DEVICES"] = str(self.state["gpu"])
        job_fd = lock(self.run.job_lock, patience_s=5.0)
        if job_fd is None:
            return None  # a keeper lives after all; it is watched as any other
        read_end, write_end = os.pipe()
        if os.fork() == 0:
            self.become_keeper(launch, write_end)
        os.close(write_end)
        os.close(job_fd)
        is_running = os.read(read_end, 16) != b""
        self.keeper_pipe = read_end
        if is_running:
            self.save(state="RUNNING", started_at=time.time(), job=self.job_identity())
            return None
        if self.run.job() is None and read_json(self.run.path / ".exit.json") is None:
            return {"error": "its keeper ended before it; see .supervisor.log"}
        return None

    def become_keeper(self, launch: Launch, pipe: int) -> None:
        code = 1
        try:
            os.setsid()
            os.close(self.lock_fd)
            os.dup2(pipe, 1)
            os.close(pipe)
            code = keep(self.run, launch)
        except OSError as err:
            print(f"keeper: {err}", file=sys.stderr, flush=True)
        finally:
            os._exit(code)

    def job_identity(self) -> Optional[Json]:
        job = self.run.job()
        return {key: job[key] for key in ("pid", "start_ticks", "boot")} if job else None

    def watch(self) -> Json:
        """Wait for the end; obey the wish to cancel, the limits and the pod's stop."""
        if self.gpu_fd is None and self.state.get("gpu_lock") is not None:
            self.gpu_fd = lock(self.pod.gpu_lock(self.state["gpu_lock"]), patience_s=0.0)
        while True:
            end = self.end()
            if end is not None:
                return end
            if self.state["state"] != "RUNNING" and self.run.job() is not None:
                self.save(state="RUNNING", started_at=time.time(), job=self.job_identity())
            why, grace_s = self.wish()
            if why is not None:
                self.state["killed"] += self.stop(why, grace_s)
            self.pause()

    def end(self) -> Optional[Json]:
        """How the job ended, or None while it may still tell.

        The order decides: who is alive is asked first, so that a record written meanwhile is found.
        """
        is_kept = is_locked(self.run.job_lock)
        job = self.run.job()
        lives = is_alive(job)
        self.reap()
        record = read_json(self.run.path / ".exit.json")
        if record is not None or is_kept or lives:
            return record
        status = self.reaped.get(job["pid"]) if job else None
        if status is not None:  # the keeper was killed, and the job came to us
            record = {"status": status, "oom_kills": oom_kills(), "ended_at": time.time()}
            record_end(self.run, record)
            return record
        if job is None:
            return {"error": "its keeper ended before it; see .supervisor.log"}
        if job["boot"] != boot():
            return {"lost": "the pod was restarted while it ran"}
        return {"lost": "it and its keeper are gone, and no exit code was recorded"}

    def reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self.reaped[pid] = status

    def wish(self) -> Tuple[Optional[str], float]:
        """Why the job should stop, and the time it gets; a wish that was followed is none."""
        grace_s = float(self.spec.get("grace_s") or GRACE_S)
        if (self.run.path / ".cancel.json").exists():
            cancel = read_json(self.run.path / ".cancel.json") or {}
            asked = cancel.get("grace_s")
            why = str(cancel.get("why") or "cancel")
            return why, grace_s if asked is None else float(asked)
        if self.told_to_stop:
            return "the pod is being stopped", min(grace_s, POD_STOP_GRACE_S)
        limit_s, name = time_limit(self.spec)
        job = self.run.job()
        if limit_s is not None and job and seconds_since(job) >= limit_s:
            return f"{LIMIT_REACHED}: {name}", grace_s
        return None, grace_s

    def stop(self, why: Optional[str], grace_s: float) -> int:
        """SIGTERM to every process of the run, SIGKILL to who is left; how many are gone for it.

        Each is found again by number and start before each signal. Who was seen once stays known,
        also when he leaves the session or loses the mark.
        """
        if why is not None:
            self.save(stopping=why)
        kill_at = time.monotonic() + grace_s
        known: Dict[int, Process] = {}
        told: Set[Tuple[int, int, int]] = set()
        was_clear = False
        while True:
            known.update(living_members(self.run.id, self.run.job()))
            left = [one for one in known.values() if still_lives(one)]
            now = time.monotonic()
            if (not left and was_clear) or now > kill_at + KILL_PATIENCE_S:
                return len({key[:2] for key in told}) - len(left)
            was_clear = not left  # one look misses who is just becoming another program
            number = signal.SIGTERM if now < kill_at else signal.SIGKILL
            for one in left:
                key = (one.pid, one.start_ticks, int(number))
                if key not in told:
                    told.add(key)
                    tell(one, number)
            self.pause(0.05)
            self.reap()

    # -- end --

    def conclude(self, end: Json) -> None:
        """Write the end, with everything that belongs to it, in one step."""
        left_behind = self.stop(None, STRAGGLER_GRACE_S)
        if left_behind:
            self.state["killed"] += left_behind
            processes = "process" if left_behind == 1 else "processes"
            self.run.add_event("note", text=f"{left_behind} {processes} left behind, ended")
        self.state.update(outcome(end, self.state.get("stopping"), self.run.job()))
        self.state.update(ended_at=end.get("ended_at") or time.time())
        wipe_secrets(self.run)
        self.state.update(last_lines=last_lines(self.run.log))
        try:
            self.state["manifest_sha256"] = make_manifest(self.run, self.beat)
        except OSError as err:
            print(f"no manifest: {err}", file=sys.stderr, flush=True)
        self.save()
        while not self.is_saved and self.run.path.is_dir():
            time.sleep(1.0)
            self.save()
        acknowledge()
        self.finish()

    def beat(self) -> None:
        """A heartbeat while files are hashed; the end is not told before it is complete."""
        if time.monotonic() >= self.next_beat:
            stored = read_json(self.run.path / "state.json") or {}
            with contextlib.suppress(OSError):
                self.run.write("state.json", {**stored, "heartbeat_at": time.time()}, sync=False)
            self.next_beat = time.monotonic() + HEARTBEAT_S

    def finish(self) -> None:
        """Free the GPU, then the command that was wished for after the end."""
        if self.gpu_fd is not None:
            os.close(self.gpu_fd)
        command = self.spec.get("on_finish")
        if not command:
            return
        env = {key: value for key, value in os.environ.items() if key != "MOOLA_RUN_ID"}
        env.update(MOOLA_RUN_DIR=str(self.run.path), MOOLA_STATE=self.state["state"])
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=self.run.path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            check=False,
        )
        print(f"on_finish: exit code {done.returncode}", file=sys.stderr, flush=True)
        self.save(on_finish=done.returncode)


def still_lives(one: Process) -> bool:
    now = process(one.pid)
    return now is not None and now.is_alive and now.start_ticks == one.start_ticks


def acknowledge() -> None:
    """Tell whoever spawned us that the run is in our hands, and let go of him."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)


def seconds_since(job: Json) -> float:
    """How long ago a job was started, asleep or awake; the clock is the boot's."""
    is_of_this_boot = job["boot"] == boot()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - job["since"] if is_of_this_boot else 0.0


def time_limit(spec: Json) -> Tuple[Optional[float], str]:
    """Seconds that a job may run, and the name of the limit that says so."""
    limits = spec.get("limits") or {}
    found = []
    if limits.get("max_time_s"):
        found.append((float(limits["max_time_s"]), f"max_time_s {limits['max_time_s']:g}"))
    if limits.get("max_cost_usd") and spec.get("price_per_hour"):
        seconds = 3600 * float(limits["max_cost_usd"]) / float(spec["price_per_hour"])
        found.append((seconds, f"max_cost_usd {limits['max_cost_usd']:g}"))
    return min(found) if found else (None, "")


def outcome(end: Json, stopping: Optional[str], job: Optional[Json]) -> Json:
    """What is said of an end: the state, the reason, exit code or signal."""
    told: Json = {"returncode": None, "signal": None, "oom_killed": False}
    if "cancelled" in end:
        return {**told, "state": "CANCELLED", "reason": "cancelled before it started"}
    if "error" in end:
        return {**told, "state": "FAILED", "reason": f"could not be started: {end['error']}"}
    if "lost" in end:
        if stopping == "cancel":
            return {**told, "state": "CANCELLED", "reason": "cancelled; its exit code is not known"}
        return {**told, "state": "LOST", "reason": end["lost"]}
    status = end["status"]
    if os.WIFSIGNALED(status):
        told["signal"] = signal.Signals(os.WTERMSIG(status)).name
        reason = f"killed by {told['signal']}"
    else:
        told["returncode"] = os.WEXITSTATUS(status)
        reason = f"exit code {told['returncode']}"
    # 137 is how a shell tells that its child was killed by SIGKILL.
    if (told["signal"] == "SIGKILL" or told["returncode"] == 137) and not stopping:
        told["oom_killed"] = end.get("oom_kills", 0) > (job or end).get("oom_kills", 0)
        reason += ": out of memory" if told["oom_killed"] else ""
    return {**told, **verdict(told, reason, stopping)}


def verdict(told: Json, reason: str, stopping: Optional[str]) -> Json:
    if stopping == "cancel":
        return {"state": "CANCELLED", "reason": f"cancelled ({reason})"}
    if told["returncode"] == 0:
        return {"state": "SUCCEEDED", "reason": None}
    if stopping:
        return {"state": "PREEMPTED", "reason": f"{stopping} ({reason})"}
    if told["returncode"] == PREEMPTED_CODE:
        return {"state": "PREEMPTED", "reason": f"it was asked to stop by SIGTERM ({reason})"}
    return {"state": "FAILED", "reason": reason}


def supervise(pod: Pod, run: Run) -> None:
    """The verb behind `spawn_supervisor`; a second supervisor of a run leaves at once."""
    if os.fork():
        os._exit(0)
    os.closerange(3, 256)  # what whoever called us has left open
    os.chdir("/")
    fd = lock(run.lock, patience_s=1.0)
    if fd is None or run.state()["state"] in ENDED:
        return
    Supervisor(pod, run, fd).live()


# ---- cancel, manifest ----------------------------------------------------------------------


def cancel(pod: Pod, run: Run, grace_s: Optional[float], patience_s: float) -> Json:
    """Have a run ended, and answer when that is verified.

    Raises:
        AgentError: it is not over, or processes of it live, after the grace and some patience.
    """
    state = settle(pod, run)
    if state["state"] not in ENDED:
        run.write(".cancel.json", {"grace_s": grace_s})
    grace = float(run.spec().get("grace_s") or GRACE_S) if grace_s is None else grace_s
    give_up = time.monotonic() + grace + patience_s
    while state["state"] not in ENDED and time.monotonic() < give_up:
        time.sleep(0.05)
        state = settle(pod, run)
    left = sorted(living_members(run.id, None))
    if state["state"] not in ENDED or left:
        pids = ", ".join(map(str, left)) or "none"
        message = f"run {run.id}: not ended after {grace:g} s and more, processes left: {pids}"
        raise AgentError("not_ended", message, state=view(pod, state), pids=left)
    return {"state": view(pod, state), "killed": state.get("killed") or 0}


def make_manifest(run: Run, between: Callable[[], None]) -> str:
    """Write ``manifest.json``; its SHA-256."""
    files: List[Json] = []
    for path in files_below(run.path):
        between()
        with contextlib.suppress(FileNotFoundError):
            files.append(manifest_entry(run, path))
    files.sort(key=lambda file: os.fsencode(file["path"]))
    content = run.write("manifest.json", {"schema": SCHEMA, "run_id": run.id, "files": files})
    return hashlib.sha256(content).hexdigest()


def manifest_entry(run: Run, path: Path) -> Json:
    """A file as a manifest has it.

    Raises:
        FileNotFoundError: it has gone meanwhile.
    """
    name = path.relative_to(run.path).as_posix()
    return {"path": name, "size": path.stat().st_size, "sha256": sha256_of(path)}


def files_below(top: Path) -> Iterator[Path]:
    """Regular files that belong to a result: nothing with a dot in front, no links, no state."""
    for folder, names, files in os.walk(top):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            path = Path(folder, name)
            is_ours = path.parent == top and name in ("state.json", "manifest.json")
            if (
                not name.startswith(".")
                and not is_ours
                and not path.is_symlink()
                and path.is_file()
            ):
                yield path


def manifest(pod: Pod, run: Run) -> Json:
    state = settle(pod, run)
    if state["state"] not in ENDED:
        raise AgentError(
            "not_ended", f"run {run.id}: {state['state']}, a manifest is made at its end"
        )
    if state.get("manifest_sha256") is None or not run.manifest.is_file():
        fd = lock_ended(run)
        state["manifest_sha256"] = make_manifest(run, lambda: None)
        run.write("state.json", state)
        os.close(fd)
    return {"manifest_sha256": state["manifest_sha256"]}


def lock_ended(run: Run) -> int:
    """The lock of a run that has ended.

    Raises:
        AgentError: its supervisor still lives, for what comes after the end.
    """
    fd = lock(run.lock, patience_s=2.0)
    if fd is None:
        raise AgentError("busy", f"run {run.id}: its on_finish command is at work")
    return fd


def checkpoints(run: Run, asked: Json) -> Json:
    """The files of complete checkpoints that the asker doesn't know, also while the run goes on."""
    known = set(asked.get("known") or [])
    files: List[Json] = []
    for path in files_below(run.path / "checkpoints"):
        with contextlib.suppress(FileNotFoundError):
            if path.relative_to(run.path).as_posix() not in known:
                files.append(manifest_entry(run, path))
    # The run keeps the latest few: one that was removed meanwhile is not told in part.
    return {"files": [file for file in files if (run.path / file["path"]).parent.is_dir()]}


def show(pod: Pod, run: Run) -> Json:
    """What is on record of a run: its state, spec, configuration and last event ``run``."""
    config, begun = None, None
    with contextlib.suppress(OSError):
        config = head(run.path / "config.yaml", BLOCK).decode("utf-8", "replace")
    with contextlib.suppress(OSError), os.fdopen(open_file(run.events), "rb") as file:
        for line in iter(lambda: file.readline(BLOCK), b""):
            if b'"run"' in line:
                with contextlib.suppress(ValueError, RecursionError, AttributeError):
                    event = json.loads(line)
                    begun = event if event.get("kind") == "run" else begun
    state = view(pod, settle(pod, run))
    return {"state": state, "spec": run.spec(), "config": config, "run": begun}


# ---- trees: code and data ------------------------------------------------------------------


def check_digest(digest: Any) -> None:
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{8,64}", digest):
        raise AgentError("bad_request", f"digest {digest!r}: expected hex digits")


def seal(pod: Pod, kind: str, digest: str, wanted: Json) -> Json:
    """Make an incoming tree a complete one, if it is exactly what the list says."""
    check_digest(digest)
    pod.make()
    folder = pod.root / kind
    final, incoming, record = (
        folder / digest,
        folder / f".incoming-{digest}",
        folder / f"{digest}.json",
    )
    files = check_list(digest, wanted)
    with locked(folder / ".lock"):
        if final.is_dir() and record.is_file():
            return {"sealed": False, "files": len(files)}
        # A seal that was cut off between its two last steps left the tree without its list.
        tree = final if final.is_dir() else incoming
        missing, different = compare(tree, files)
        if missing or different:
            count = f"{len(missing)} missing, {len(different)} different"
            message = f"{kind} {digest}: {count}, of {len(files)} files"
            raise AgentError("different", message, missing=missing, different=different)
        if tree == incoming:
            incoming.rename(final)
        stored = {"schema": SCHEMA, "kind": kind, "digest": digest, "sealed_at": time.time()}
        write_json(record, {**stored, "files": wanted["files"]})
        return {"sealed": True, "files": len(files)}


def check_list(digest: str, wanted: Json) -> Dict[str, Json]:
    """The files by path, if the list is well-formed and is what the digest names."""
    files: Dict[str, Json] = {}
    records: Dict[bytes, bytes] = {}
    for file in wanted.get("files") or []:
        path = file["path"]
        parts = path.split("/")
        if path in files or not all(parts) or "\0" in path or {".", ".."} & set(parts):
            raise AgentError(
                "bad_request", f"{path!r}: not a path inside the tree, or listed twice"
            )
        files[path] = file
        name = os.fsencode(path)
        records[name] = f"{file['mode']} {file['sha256']} ".encode() + name + b"\0"
    actual = hashlib.sha256(b"".join(records[name] for name in sorted(records))).hexdigest()
    if not actual.startswith(digest):
        raise AgentError("bad_request", f"digest {digest}: the list's own is {actual[:16]}")
    return files


def compare(tree: Path, files: Dict[str, Json]) -> Tuple[List[str], List[str]]:
    """What a tree lacks and what differs in it; whatever the list doesn't name is removed."""
    from concurrent.futures import ThreadPoolExecutor

    there = dict(entries(tree, set(files)))
    missing = sorted(set(files) - set(there))
    with ThreadPoolExecutor(4) as threads:  # hashing lets go of the interpreter's lock
        equal = threads.map(lambda path: is_as_listed(tree, there[path], files[path]), there)
        different = sorted(path for path, is_equal in zip(there, equal) if not is_equal)
    return missing, different


def entries(tree: Path, keep: Set[str]) -> Iterator[Tuple[str, Path]]:
    """Listed files, links and empty folders below a tree; the rest, special files too, goes."""
    folders = {parent for path in keep for parent in parents(path)}
    for folder, names, files in os.walk(tree, topdown=True):
        for name in list(names):
            path = Path(folder, name)
            relative = path.relative_to(tree).as_posix()
            if path.is_symlink():
                names.remove(name)
                files.append(name)
            elif relative in keep:
                yield relative, path  # whatever is in it goes below
            elif relative not in folders:
                names.remove(name)
                shutil.rmtree(path)
        for name in files:
            path = Path(folder, name)
            relative = path.relative_to(tree).as_posix()
            if relative in keep:
                yield relative, path
            else:
                path.unlink()


def parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def is_as_listed(tree: Path, path: Path, listed: Json) -> bool:
    mode = str(listed["mode"])
    found = path.lstat()
    if mode == "040000":
        return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
    if path.is_symlink():
        target = os.readlink(os.fsencode(path))  # noqa: PTH115 - as bytes, as it was hashed
        inside = os.path.normpath(os.path.join(os.fsencode(path.parent), target))  # noqa: PTH118
        top = os.fsencode(tree)
        stays = not target.startswith(b"/") and (inside == top or inside.startswith(top + b"/"))
        is_same = hashlib.sha256(target).hexdigest() == listed["sha256"]
        return mode == "120000" and stays and is_same
    is_program = bool(found.st_mode & 0o100)
    if not path.is_file() or mode == "120000" or is_program != mode.endswith("755"):
        return False
    return bool(found.st_size == listed["size"]) and sha256_of(path) == listed["sha256"]


# ---- cleaning ------------------------------------------------------------------------------


KINDS = {"code": "code", "data": "data", "environment": "env", "checkpoints": "checkpoints"}
# Nobody went on with a transfer that was cut so long ago.
STALE_S = 86400.0


def clean(pod: Pod, asked: Json) -> Json:
    """Remove ended runs, and the code, data and environments that no run which stays has named.

    The newest of each kind stays: the next deploy builds on it, or has just brought it. What is
    left of a transfer that was cut goes after a day.
    """
    pod.make()
    for name in KINDS.values():
        sweep(pod.root / name)
    runs = [pod.run(run_id) for run_id in asked.get("runs") or []]
    for run in runs:
        require_rest(pod, run)
    with locked(pod.queue_lock):
        paths = [run.path for run in runs]
        for kind, name in KINDS.items():
            paths += unneeded(pod, kind, pod.root / name, {run.id for run in runs})
        removed = [
            {"kind": path.parent.name, "name": path.name, "bytes": bytes_of(path)} for path in paths
        ]
        aside = [] if asked.get("dry_run") else [put_aside(path) for path in paths]
    for path in aside:
        discard(path)
    return {"removed": removed}


def require_rest(pod: Pod, run: Run) -> None:
    if stored_state(run.path) is None:
        word = "its state.json can't be read, and it lives"
        is_over = not is_locked(run.lock) and not living_members(run.id, None)
    else:
        word = settle(pod, run)["state"]
        is_over = word in ENDED
    if not is_over:
        raise AgentError("not_ended", f"run {run.id}: {word}; it is not removed")
    os.close(lock_ended(run))


def unneeded(pod: Pod, kind: str, folder: Path, going: Set[str]) -> List[Path]:
    staying = (path for path in pod.runs.glob("[!.]*/spec.json") if path.parent.name not in going)
    needed = {str((read_json(path) or {}).get(kind)) for path in staying}
    there = complete(folder)
    idle = [folder / digest for digest in there[:-1] if digest not in needed]
    cut = [path for path in folder.glob(".incoming-*") if age_of(path) > STALE_S]
    return [*idle, *cut]


def age_of(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return 0.0


def bytes_of(top: Path) -> int:
    """What removing a folder gives back: files that another snapshot shares don't count."""
    total = 0
    for folder, _, files in () if top.is_symlink() else os.walk(top):
        for name in files:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - many
                total += found.st_size if found.st_nlink == 1 else 0
    return total


def put_aside(path: Path) -> Path:
    """Out of sight in one step; what a cut leaves behind goes with the next sweep."""
    aside = path.with_name(f".removed-{path.name}-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        path.with_name(f"{path.name}.json").unlink()
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
    return aside


# ---- the environment -----------------------------------------------------------------------

DESCRIBE_BASE = """
import json, os, platform, site, sys
print(json.dumps({"python": os.path.realpath(sys.executable), "version": platform.python_version(),
  "prefix": sys.prefix, "paths": [p for p in site.getsitepackages() if os.path.isdir(p)]}))
"""
DESCRIBE_ENVIRONMENT = """
import importlib.metadata as metadata, json
packages = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
torch = None
try:
    import torch as t
    cuda = t.cuda.is_available()
    torch = {"version": t.__version__, "cuda": t.version.cuda,
             "device": t.cuda.get_device_name(0) if cuda else "cpu"}
except ImportError:
    pass
print(json.dumps({"packages": packages, "torch": torch}))
"""


def environment(pod: Pod, digest: str, python: str, requirements: str) -> Json:
    """A virtual environment over `python` that has the requirements; its marker is written last."""
    check_digest(digest)
    pod.make()
    folder, marker = pod.root / "env" / digest, pod.root / "env" / f"{digest}.json"
    with locked(pod.root / "env" / f".{digest}.lock"):
        base = ask_python(python, DESCRIBE_BASE)
        known = read_json(marker) or {}
        gpus = [row[0] for row in gpu_rows("name")]
        is_there = known.get("base") == base and (folder / "bin" / "python").exists()
        if is_there and known.get("gpus") == gpus:
            return {**known["answer"], "created": False}
        if not is_there:
            with contextlib.suppress(FileNotFoundError):
                marker.unlink()
            shutil.rmtree(folder, ignore_errors=True)
            make_environment(folder, python, base)
            fill_environment(pod, folder, requirements)
        say("looking at what is there")  # torch tells of the GPUs, and a volume may change its host
        answer = {
            "python": base["version"],
            **ask_python(str(folder / "bin" / "python"), DESCRIBE_ENVIRONMENT),
        }
        stored = {"schema": SCHEMA, "digest": digest, "base": base, "requirements": requirements}
        write_json(marker, {**stored, "gpus": gpus, "made_at": time.time(), "answer": answer})
    return {**answer, "created": not is_there}


def make_environment(folder: Path, python: str, base: Json) -> None:
    """Make it empty, with the base's packages in sight; the base may itself be an environment."""
    say(f"making env/{folder.name} over Python {base['version']}")
    run_quietly([python, "-m", "venv", "--without-pip", str(folder)])
    packages = ask_python(str(folder / "bin" / "python"), DESCRIBE_BASE)["paths"][0]
    # As plain paths: what the base has installed in editable form stays out of sight.
    Path(packages, "_base.pth").write_text("\n".join(base["paths"]) + "\n", encoding="utf-8")


def fill_environment(pod: Pod, folder: Path, requirements: str) -> None:
    """Install what the base lacks; where it lacks nothing, nothing is asked of the network."""
    python = str(folder / "bin" / "python")
    listed = folder / "requirements.txt"
    listed.write_text(requirements, encoding="utf-8")
    os.environ.setdefault("PIP_CACHE_DIR", str(pod.root / "cache" / "pip"))
    os.environ.setdefault("UV_CACHE_DIR", str(pod.root / "cache" / "uv"))
    has_pip = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False)
    if has_pip.returncode != 0:
        run_quietly([python, "-m", "ensurepip"])
    pip = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    satisfied = [*pip, "--quiet", "--no-index", "-r", str(listed)]
    if subprocess.run(satisfied, capture_output=True, check=False).returncode == 0:
        say("the pod's own packages satisfy the requirements")
        return
    say("installing what the pod lacks")
    if fill_by_uv(folder, python, listed):
        # It took what the base has as good: pip says whether it is.
        if subprocess.run(satisfied, capture_output=True, check=False).returncode == 0:
            return
        say("uv has left something out; pip goes on")
    run_loudly([*pip, "--progress-bar", "off", "-r", str(listed)])


def fill_by_uv(folder: Path, python: str, listed: Path) -> bool:
    """Install by uv what the base lacks; False where there is none, or it fails.

    It sees no package outside its environment, so it is told never to need those of the base.
    """
    uv, pip = shutil.which("uv"), [python, "-m", "pip", "--disable-pip-version-check"]
    # It would not look where pip has been told to look.
    if uv is None or re.search(r"index|find-links", run_quietly([*pip, "config", "list"])):
        return False
    base = json.loads(run_quietly([*pip, "list", "--format=json"]))
    never = folder / "never.txt"
    never.write_text("".join(f"{one['name']} ; python_version < '0'\n" for one in base))
    argv = [uv, "pip", "install", "--python", python, "-r", str(listed), "--override", str(never)]
    try:
        run_loudly(argv)
    except AgentError as err:
        say(str(err))
        return False
    return True


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def ask_python(python: str, program: str) -> Json:
    answer = run_quietly([python, "-c", program])
    value: Json = json.loads(answer.splitlines()[-1])
    return value


def run_quietly(argv: List[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as err:
        raise AgentError("environment", f"{argv[0]}: {err.strerror}") from err
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        command = " ".join(argv[:4])
        raise AgentError("environment", f"{command}: exit code {done.returncode}: {lines[-1:]}")
    return done.stdout.decode("utf-8", "replace")


def run_loudly(argv: List[str]) -> None:
    """Its output is our progress; the last of it says why it failed."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        assert child.stdout is not None
        last = ""
        for raw in child.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            say(line)
            last = line if line.startswith("ERROR") or not last.startswith("ERROR") else last
    if child.returncode != 0:
        raise AgentError("environment", f"installing packages failed: {last}")


# ---- what the machine is and does ----------------------------------------------------------


def query_gpus(fields: str) -> List[str]:
    return ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]


def gpu_rows(fields: str) -> List[List[str]]:
    """One row a GPU; none where there is no driver."""
    if shutil.which("nvidia-smi") is None:
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
    """A cell of nvidia-smi; None for ``[N/A]``."""
    try:
        return float(cell)
    except ValueError:
        return None


def mebibytes(cell: str) -> Optional[int]:
    value = number(cell)
    return None if value is None else int(value) << 20


class Telemetry:
    """GPU, CPU, memory and disk; nvidia-smi may hang, so nobody waits for it."""

    FIELDS = "index,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.has_gpus = shutil.which("nvidia-smi") is not None
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

    def collect(self) -> Optional[Json]:
        """A sample once it is complete; without the GPUs if they don't answer."""
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


def idleness(sample: Json, gpu: Optional[int]) -> Optional[bool]:
    """Whether the run's GPU does nothing, or where there is none, the CPU; None if nobody knows."""
    ours = [one for one in sample["gpus"] if gpu in (None, one["index"])] or sample["gpus"]
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
        return shutil.disk_usage(path).free
    except OSError:
        return None


def cpu_count() -> int:
    """Processors that we may use: a container's share where it has one."""
    count = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        count = min(count, max(1, -(-int(quota) // int(period))))
    return count


def probe(pod: Pod) -> Json:
    import platform

    pod.make()
    gpus = [
        {"name": row[0], "memory_total": mebibytes(row[1])} for row in gpu_rows("name,memory.total")
    ]
    return {
        "python": platform.python_version(),
        "gpus": gpus,
        "cpus": cpu_count(),
        "ram_total": memory()[1],
        "disk_free": disk_free(pod.root),
        "rsync": rsync_version(),
        "cuda_driver": cuda_of_driver(),
        "has_venv": has_module("venv"),
        "write_error": write_error(pod.root, ROOM_BYTES),
        "platform": platform.platform(),
        "hostname": platform.node(),
        "now": time.time(),
        "trees": {kind: complete(pod.root / kind) for kind in ("code", "data")},
        "environments": complete(pod.root / "env"),
    }


def cuda_of_driver() -> Optional[str]:
    """The newest CUDA that the driver knows; None without a driver."""
    if shutil.which("nvidia-smi") is None:
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["nvidia-smi"], capture_output=True, timeout=20, check=False)
        found = re.search(rb"CUDA Version: *([0-9]+\.[0-9]+)", done.stdout)
        return found.group(1).decode() if found else None
    return None


def has_module(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None


def write_error(folder: Path, size: int) -> Optional[str]:
    """Why so much can't be written: a quota shows in no number of the file system."""
    path = folder / f".room-{os.getpid()}"
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as err:
        return os.strerror(err.errno or errno.EIO)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    return None


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


# ---- the guard of a rented pod ---------------------------------------------------------------

GUARD_TICK_S = 10.0
GUARD_FRESH_S = 60.0
# After a run's own limit the pod waits so long for somebody to fetch, then stops.
AFTER_LIMIT_S = 120.0
END_RUNS_S = 120.0
API_TIMEOUT_S = 30
USER_AGENT = "moola-agent"  # the API's proxy refuses that of urllib
CONFLICT = 409  # what a pod answers that has stopped already


class Guard:
    """Stops this very pod through RunPod's API, with the laptop off: idle, or its time is over.

    Ending the container would not end the bill: it is started again. The pod is stopped, never
    removed: what is on its volume may have no copy.
    """

    def __init__(self, pod: Pod, settings: Json) -> None:
        self.pod = pod
        self.settings = settings
        self.log = pod.root / "guard.log"
        self.idle_since = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.since = time.time()

    def live(self) -> None:
        while True:
            self.settings = read_json(self.pod.root / "guard.json") or self.settings
            why = self.look()
            if why is not None:
                self.end_runs(why)
                if self.stop(why):
                    return
            time.sleep(self.settings.get("tick_s") or GUARD_TICK_S)

    def look(self) -> Optional[str]:
        """Why the pod should stop now, or None."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if self.is_busy():
            self.idle_since = now
        stop_at, limit_s = self.settings.get("stop_at"), self.idle_limit_s()
        idle_s = now - self.idle_since
        rest_s = None if limit_s is None or idle_s == 0 else limit_s - idle_s
        left_s = None if stop_at is None else stop_at - time.time()
        waits = [max(0.0, wait_s) for wait_s in (rest_s, left_s) if wait_s is not None]
        with contextlib.suppress(OSError):
            seen = {"idle_s": idle_s, "stops_in_s": min(waits, default=None)}
            write_json(self.pod.root / "guard.seen.json", seen, sync=False)
        if left_s is not None and left_s <= 0:
            return "the pod's time is over"
        if rest_s is not None and rest_s <= 0:
            return f"idle for {idle_s:.0f} s"
        return None

    def is_busy(self) -> bool:
        """Whether a run or its on_finish goes on, a GPU works, or somebody sends or fetches."""
        for run, state in self.pod.all_runs():
            if state["state"] not in ENDED and settle(self.pod, run)["state"] not in ENDED:
                return True
            if is_alive(state.get("supervisor")):
                return True
        uses = [number(row[0]) for row in gpu_rows("utilization.gpu") if row]
        return any(use is not None and use >= IDLE_PERCENT for use in uses) or self.is_served()

    def is_served(self) -> bool:
        """Whether a verb of ours or an rsync is at work below our root; who looks on is no work.

        A follower whose laptop sleeps may hang for hours, full of what it can't send.
        """
        root = os.fsencode(self.pod.root) + b"/"
        for name in os.listdir("/proc"):  # noqa: PTH208 - thousands of names, not paths
            if name.isdigit() and int(name) != os.getpid():
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                    is_ours = any(word.startswith(root + b"agent/") for word in words)
                    is_verb = is_ours and not {b"supervise", b"idle", b"follow"} & set(words)
                    is_rsync = words[0].endswith(b"rsync") and any(root in word for word in words)
                    if is_verb or is_rsync:
                        return True
        return False

    def idle_limit_s(self) -> Optional[float]:
        limit_s = self.settings.get("idle_stop_s")
        # Of this start of the pod: who comes back later to fetch has all the time of an idle pod.
        states = [
            state for _, state in self.pod.all_runs() if (state.get("ended_at") or 0) > self.since
        ]
        if states and str(states[-1].get("stopping")).startswith(LIMIT_REACHED):
            after_s = self.settings.get("after_limit_s") or AFTER_LIMIT_S
            return float(after_s if limit_s is None else min(after_s, limit_s))
        return limit_s

    def end_runs(self, why: str) -> None:
        """Have each running job end with a checkpoint, and wait for its manifest."""
        give_up = time.monotonic() + END_RUNS_S
        while time.monotonic() < give_up:
            alive = [
                run
                for run, state in self.pod.all_runs()
                if state["state"] in ("PREPARING", "RUNNING")
            ]
            if not alive:
                return
            for run in alive:
                if not (run.path / ".cancel.json").exists():
                    run.write(".cancel.json", {"grace_s": None, "why": why})
                settle(self.pod, run)
            time.sleep(TICK_S)

    def stop(self, why: str) -> bool:
        """Ask for the stop by each means in turn; whether the API says that we have stopped."""
        self.record("stopping", True, why)
        me = pod_variables()
        for name, ask in MEANS:
            status, said = call_api(ask, self.settings, me, "stop")
            is_done = status == CONFLICT or 200 <= status < 300
            self.record(name, is_done, str(status) if is_done else f"{status} {said}")
            if is_done:
                status, said = call_api(ask, self.settings, me)
                if status == 200 and '"EXITED"' in said:
                    return True
        return self.stop_by_runpodctl(me)

    def stop_by_runpodctl(self, me: Dict[str, str]) -> bool:
        argv = ["runpodctl", "stop", "pod", str(me.get("RUNPOD_POD_ID"))]
        env = {**os.environ, "RUNPOD_API_KEY": me.get("RUNPOD_API_KEY", "")}
        try:
            done = subprocess.run(
                argv, env=env, capture_output=True, timeout=2 * API_TIMEOUT_S, check=False
            )
            said = (done.stderr or done.stdout).decode("utf-8", "replace")[-200:]
            self.record("runpodctl", done.returncode == 0, said)
        except (OSError, subprocess.SubprocessError) as err:
            self.record("runpodctl", False, str(err))
        return False  # where it has worked, we are no more

    def record(self, means: str, is_ok: bool, said: str) -> None:
        line = json.dumps({"t": time.time(), "means": means, "ok": is_ok, "said": said[:500]})
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def pod_variables() -> Dict[str, str]:
    """The pod's own variables: a shell over SSH has not those of process 1."""
    found: Dict[str, str] = {}
    with contextlib.suppress(OSError):
        for entry in Path("/proc/1/environ").read_bytes().split(b"\0"):
            name, _, value = entry.decode("utf-8", "replace").partition("=")
            found[name] = value
    return {
        name: value
        for name, value in {**found, **os.environ}.items()
        if name in ("RUNPOD_POD_ID", "RUNPOD_API_KEY")
    }


Request = Tuple[str, str, str, Optional[bytes]]  # method, URL, key, JSON
Ask = Callable[[Request], Tuple[int, str]]  # HTTP's status, the beginning of what is said


def call_api(
    ask: Ask, settings: Json, me: Dict[str, str], action: Optional[str] = None
) -> Tuple[int, str]:
    """Read this pod, or act on it; status 0 where there is no answer."""
    url = f"{settings['api'].rstrip('/')}/v2/pods/{me.get('RUNPOD_POD_ID')}"
    key = me.get("RUNPOD_API_KEY", "")
    try:
        if action is None:
            return ask(("GET", url, key, None))
        return ask(("POST", f"{url}/action", key, json.dumps({"action": action}).encode()))
    except (OSError, ValueError) as err:
        return 0, str(err)


def ask_by_python(request: Request) -> Tuple[int, str]:
    import urllib.error
    import urllib.request

    method, url, key, body = request
    headers = {"Authorization": f"Bearer {key}", "User-Agent": USER_AGENT}
    if body is not None:
        headers["Content-Type"] = "application/json"
    asked = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=API_TIMEOUT_S) as response:
            return response.status, response.read(BLOCK).decode("utf-8", "replace")
    except urllib.error.HTTPError as err:
        return err.code, err.read(300).decode("utf-8", "replace")


def ask_by_curl(request: Request) -> Tuple[int, str]:
    """The key goes over stdin, as everybody may read a command line."""
    method, url, key, body = request
    argv = ["curl", "-sS", "-m", str(API_TIMEOUT_S), "-K", "-", "-X", method, "-A", USER_AGENT]
    if body is not None:
        argv += ["-H", "Content-Type: application/json", "--data", body.decode()]
    config = f'header = "Authorization: Bearer {key}"\n'
    done = subprocess.run(
        [*argv, "-w", "\n%{http_code}", url],
        input=config.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise OSError(f"curl: {done.stderr.decode('utf-8', 'replace').strip()[-200:]}")
    said, _, status = done.stdout.decode("utf-8", "replace").rpartition("\n")
    return int(status), said


MEANS: Tuple[Tuple[str, Ask], ...] = (("python", ask_by_python), ("curl", ask_by_curl))


def guard(pod: Pod, settings: Json) -> Json:
    """Keep the settings, prove that this pod may end itself, and see that a guard is on watch."""
    if not isinstance(settings.get("api"), str):
        raise AgentError("bad_request", "guard: api: expected the address of the API")
    pod.make()
    me = pod_variables()
    answers = {name: call_api(ask, settings, me) for name, ask in MEANS}
    write_json(pod.root / "guard.json", settings)
    if not is_locked(pod.root / "guard.lock"):
        spawn_guard(pod)
    refusals = [f"{name}: {status} {said[:200]}" for name, (status, said) in answers.items()]
    mine = json.dumps(me.get("RUNPOD_POD_ID"))  # a proxy may answer anything with 200
    proved = [name for name, (status, said) in answers.items() if status == 200 and mine in said]
    why = "" if proved else "; ".join(refusals)
    return {"proved": proved, "why": why, "now": time.time()}


def idleness_of_pod(pod: Pod) -> Json:
    """How the guard found the pod at its last look; nulls where none is on watch."""
    path = pod.root / "guard.seen.json"
    with contextlib.suppress(OSError):
        is_fresh = time.time() - path.stat().st_mtime < GUARD_FRESH_S
        if is_fresh and is_locked(pod.root / "guard.lock"):
            return read_json(path) or {}
    return {"idle_s": None, "stops_in_s": None}


def spawn_guard(pod: Pod) -> None:
    """A process of its own, which holds ``guard.lock``; a second one leaves at once."""
    if os.fork():
        return
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(nothing, target)
        os.closerange(3, 256)
        os.chdir("/")
        if lock(pod.root / "guard.lock", patience_s=0.0) is not None and os.fork() == 0:
            for number_ in (signal.SIGHUP, signal.SIGINT):
                signal.signal(number_, signal.SIG_IGN)
            Guard(pod, read_json(pod.root / "guard.json") or {}).live()
    finally:
        os._exit(0)


# ---- places in a log -----------------------------------------------------------------------


def locate(run: Run, tail: Optional[int], since: Optional[float]) -> Json:
    """Where the last `tail` lines begin, or what was written from the time `since` on.

    No line is left out; by time there may be some more, as the sizes are noted once a second.
    """
    with os.fdopen(open_file(run.log), "rb") as log:
        size = os.fstat(log.fileno()).st_size
        offset = 0 if since is None else start_of_lines(log, size_at(run, since, size), 0)
        if tail is not None:
            offset = max(offset, start_of_lines(log, size, tail))
    return {"offset": offset, "size": size}


def size_at(run: Run, moment: float, size: int) -> int:
    """How long the log was at a time, at least so long."""
    before = 0
    with contextlib.suppress(OSError, ValueError), os.fdopen(open_file(run.times), "rb") as times:
        for line in times:
            when, _, then = line.partition(b" ")
            if float(when) > moment:
                break
            before = int(then)
    return min(before, size)


def start_of_lines(log: BinaryIO, stop: int, count: int) -> int:
    """Where the `count` lines before `stop` begin; with 0, the line that `stop` is in.

    A last line without its end counts as one.
    """
    if count == 0 or (stop and os.pread(log.fileno(), 1, stop - 1) == b"\n"):
        count += 1
    while stop > 0:
        start = max(0, stop - BLOCK)
        block = os.pread(log.fileno(), stop - start, start)
        end = block.rfind(b"\n")
        while end >= 0:
            count -= 1
            if count == 0:
                return start + end + 1
            end = block.rfind(b"\n", 0, end)
        stop = start
    return 0


# ---- the stream ----------------------------------------------------------------------------


class Feed:
    """One file, sent from an offset on."""

    def __init__(self, run: Run, name: str, offset: int, generation: Optional[str]) -> None:
        self.name = name
        self.path = {"log": run.log, "events": run.events}[name]
        self.mask = Mask.of(run)
        self.is_over = False
        self.offset = offset
        self.generation = generation
        self.fd: Optional[int] = None
        self.is_at_end = True

    def pump(self) -> int:
        """Send what is new; how many bytes that was, a few megabytes at most a call."""
        if self.fd is None and not self.open():
            return 0
        assert self.fd is not None
        sent, size = 0, FIRST_BLOCK
        while sent < 16 * BLOCK:
            block, is_at_end = self.read(size)
            if block:
                send(f"D {self.name} {self.offset} {len(block)}\n".encode(), block)
                self.offset += len(block)
                sent += len(block)
            if is_at_end:
                self.is_at_end = True
                return sent or self.look_for_change()
            size = BLOCK
        self.is_at_end = False
        return sent

    def read(self, size: int) -> Tuple[bytes, bool]:
        """The next bytes without secrets, and whether the file ends with them."""
        assert self.fd is not None
        if self.mask is None:
            block = os.pread(self.fd, size, self.offset)
            return block, len(block) < size
        start = max(0, self.offset - self.mask.reach)
        size += self.offset - start + self.mask.reach
        block = os.pread(self.fd, size, start)
        # The rest of a secret that has begun may be on its way.
        stop = len(block) - (0 if self.is_over else self.mask.begun(block))
        return self.mask.strike(block)[self.offset - start : stop], len(block) < size

    def open(self) -> bool:
        try:
            self.fd = open_file(self.path)
        except FileNotFoundError:
            return False
        found = os.fstat(self.fd)
        generation = f"{found.st_dev:x}-{found.st_ino:x}"
        if self.generation not in (None, generation):
            self.restart("replaced")
        elif self.offset > found.st_size:
            self.restart("truncated")
        self.generation = generation
        send(f"S {self.name} {generation} {found.st_size}\n".encode())
        return True

    def look_for_change(self) -> int:
        """At the end of what is there: is it still the same file?"""
        assert self.fd is not None
        try:
            at_path = self.path.stat()
        except FileNotFoundError:
            return 0
        if at_path.st_ino != os.fstat(self.fd).st_ino:
            os.close(self.fd)
            self.fd, self.is_at_end = None, False
            return 1
        if at_path.st_size < self.offset:
            self.restart("truncated")
            send(f"S {self.name} {self.generation} {at_path.st_size}\n".encode())
            return 1
        return 0

    def restart(self, why: str) -> None:
        send(f"R {self.name} {why}\n".encode())
        self.offset = 0


def send(*parts: bytes) -> None:
    """Write a frame to stdout, whole; a reader that is gone raises BrokenPipeError."""
    rest = memoryview(b"".join(parts))
    while rest:
        rest = rest[os.write(1, rest) :]


class Doorbell:
    """Rings when a file in a folder changes: inotify, or a look every 50 ms where it is missing."""

    CHANGES = 0x2 | 0x80 | 0x100  # IN_MODIFY, IN_MOVED_TO, IN_CREATE
    EVENT_HEAD = 16  # wd, mask, cookie, length of the name, which is filled up with NUL

    def __init__(self, folder: Path) -> None:
        self.fd: Optional[int] = None
        self.changed: Set[bytes] = set()  # names, where they are known
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import ctypes

            libc = ctypes.CDLL(None, use_errno=True)
            fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if fd >= 0 and libc.inotify_add_watch(fd, os.fsencode(folder), self.CHANGES) >= 0:
                self.fd = fd

    def wait(self, seconds: float) -> bool:
        """Until something changes, or the time is over; False when stdin has ended."""
        if self.fd is None:
            seconds = min(seconds, 0.05)
        watched = [0] if self.fd is None else [0, self.fd]
        ready, _, _ = select.select(watched, [], [], seconds)
        self.changed.clear()
        if self.fd in ready and self.fd is not None:
            self.read_names(os.read(self.fd, 1 << 12))
        return 0 not in ready or os.read(0, 4096) != b""

    def read_names(self, events: bytes) -> None:
        while events:
            end = self.EVENT_HEAD + int.from_bytes(events[12:16], sys.byteorder)
            self.changed.add(events[self.EVENT_HEAD : end].rstrip(b"\0"))
            events = events[end:]


class Follower:
    """Sends the frames of docs/protocol.md until the run is over, or the reader is gone."""

    def __init__(self, pod: Pod, run: Run, feeds: List[Feed]) -> None:
        self.pod = pod
        self.run = run
        self.feeds = feeds
        self.bell = Doorbell(run.path)
        self.state = settle(pod, run)
        self.seen = signature(run)
        self.shown: Optional[Json] = None
        self.sent_at = self.settled_at = time.monotonic()

    def live(self) -> None:
        while True:
            # Known before the files are read: what is written until a run is over is then sent.
            is_over = self.state["state"] in ENDED
            for feed in self.feeds:
                feed.is_over = is_over
            sent = sum(feed.pump() for feed in self.feeds)
            if is_over and not sent and self.shown is not None:
                self.send_state("E")
                return
            if self.look():
                continue
            # Whatever is written from here on rings: only what is left of now can't wait.
            is_behind = is_over or not all(feed.is_at_end for feed in self.feeds)
            self.rest(sent)
            if not self.hear(0.0 if is_behind else 1.0):
                return

    def hear(self, seconds: float) -> bool:
        """Wait for a change, False when stdin has ended; the log's alone is dealt with at once.

        Whatever is done between a line and our sleep keeps the SSH server, where it was woken on
        our processor, from sending the line: that is a third of its way.
        """
        log, until = self.feeds[0], time.monotonic() + 1.0
        while self.bell.wait(seconds):
            if self.bell.changed != {b"log"} or time.monotonic() > until:
                return True
            sent = log.pump()
            if not sent or not log.is_at_end:
                return True
            self.rest(sent)
            seconds = 1.0
        return False

    def look(self) -> bool:
        """Send the state if it has changed; whether it has."""
        now = time.monotonic()
        if now - self.settled_at >= HEARTBEAT_S:
            self.state, self.settled_at = settle(self.pod, self.run), now
        elif signature(self.run) != self.seen:
            self.seen, self.state = signature(self.run), self.run.state()
        elif self.shown is not None:
            return False
        shown = brief(view(self.pod, self.state))
        if shown == self.shown:
            return False
        self.shown = shown
        self.send_state("P")
        return True

    def send_state(self, kind: str) -> None:
        payload = json.dumps(view(self.pod, self.state)).encode()
        send(f"{kind} {len(payload)}\n".encode(), payload)

    def rest(self, sent: int) -> None:
        """A short rest after what was sent, a sign of life where nothing was for long."""
        now = time.monotonic()
        silence_s = now - self.sent_at
        if not sent and silence_s < HEARTBEAT_S:
            return
        if not sent:
            send(f"H {time.time():.3f}\n".encode())
        elif silence_s < 0.002:
            # A writer that never rests is read a thousand times a second, in bigger pieces.
            time.sleep(0.001)
        self.sent_at = now


def signature(run: Run) -> Tuple[int, int]:
    found = (run.path / "state.json").stat()
    return found.st_mtime_ns, found.st_ino


def brief(state: Json) -> Json:
    """A state without what changes with each heartbeat."""
    restless = (
        *("heartbeat_at", "log_size", "events_size", "supervisor", "now"),
        *("samples", "idle_share"),
    )
    return {key: value for key, value in state.items() if key not in restless}


# ---- the command line ----------------------------------------------------------------------


def parse(argv: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agent", description="moola's program on the pod")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list").add_argument("--facts", action="store_true")
    for name in ("probe", "start", "guard", "idle", "clean"):
        verbs.add_parser(name)
    followed = ("cancel", "locate", "follow")
    for name in ("state", "show", "checkpoints", "manifest", "supervise", *followed):
        verb = verbs.add_parser(name)
        verb.add_argument("run")
        if name == "cancel":
            verb.add_argument("--grace", type=float)
            verb.add_argument("--patience", type=float, default=CANCEL_PATIENCE_S)
        if name == "locate":
            verb.add_argument("--tail", type=int)
            verb.add_argument("--since", type=float)
        if name == "follow":
            for file in ("log", "event"):
                verb.add_argument(f"--{file}-offset", type=int, default=0)
                verb.add_argument(f"--{file}-generation")
    verbs.add_parser("room").add_argument("size", type=int)
    verb = verbs.add_parser("seal")
    verb.add_argument("kind", choices=["code", "data", "checkpoints"])
    verb.add_argument("digest")
    verb = verbs.add_parser("environment")
    verb.add_argument("digest")
    verb.add_argument("--python", default=sys.executable)
    return parser.parse_args(argv)


def read_object() -> Json:
    try:
        value = json.loads(sys.stdin.buffer.read())
    except ValueError as err:
        raise AgentError("bad_request", f"stdin: not JSON: {err}") from err
    if not isinstance(value, dict):
        raise AgentError("bad_request", "stdin: expected a JSON object")
    return value


def list_runs(pod: Pod, with_facts: bool) -> Json:
    states = [settle(pod, run) for run, _ in pod.all_runs()]
    told = [{**view(pod, state, states), "last_lines": []} for state in states]
    room = FACTS
    for state in reversed(told) if with_facts else ():
        state.update(facts(pod.run(state["run_id"]), min(room, BLOCK)))
        room -= len(state["config"] or "")
    return {"runs": [*unreadable(pod, states), *told]}


def unreadable(pod: Pod, known: List[Json]) -> List[Json]:
    """Runs whose state can't be read: nobody should think that there is nothing to lose."""
    readable = {state["run_id"] for state in known}
    names = {path.name for path in pod.runs.glob("*") if path.is_dir()} - readable
    reason = "its state.json can't be read"
    # One that has come or gone meanwhile is none.
    there = [
        name
        for name in sorted(names)
        if RUN_ID.fullmatch(name) and stored_state(pod.runs / name) is None
    ]
    return [{"run_id": name, "state": "LOST", "reason": reason} for name in there]


def facts(run: Run, limit: int) -> Json:
    """What runs are chosen and sorted by: the recipe as it was run, and what it scored."""
    config, scores = None, None
    with contextlib.suppress(OSError):
        config = head(run.path / "config.yaml", limit).decode("utf-8", "replace")
    with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
        scores = json.loads(head(run.path / "result.json", BLOCK)).get("scores")
    return {"config": config, "scores": scores}


def answer(args: argparse.Namespace) -> Optional[Json]:
    """What a verb prints; None where it prints by itself."""
    pod = Pod(args.root.resolve())
    if args.verb == "probe":
        return probe(pod)
    if args.verb == "start":
        return start(pod, read_object())
    if args.verb == "list":
        return list_runs(pod, args.facts)
    if args.verb == "guard":
        return guard(pod, read_object())
    if args.verb == "room":
        return {"write_error": write_error(pod.root, args.size)}
    if args.verb == "idle":
        return idleness_of_pod(pod)
    if args.verb == "clean":
        return clean(pod, read_object())
    if args.verb == "seal":
        return seal(pod, args.kind, args.digest, read_object())
    if args.verb == "environment":
        requirements = sys.stdin.buffer.read().decode("utf-8")
        return environment(pod, args.digest, args.python, requirements)
    return answer_about(args, pod, pod.run(args.run))


def answer_about(args: argparse.Namespace, pod: Pod, run: Run) -> Optional[Json]:
    if args.verb == "state":
        return {"state": view(pod, settle(pod, run))}
    if args.verb == "show":
        return show(pod, run)
    if args.verb == "cancel":
        return cancel(pod, run, args.grace, args.patience)
    if args.verb == "checkpoints":
        return checkpoints(run, read_object())
    if args.verb == "manifest":
        return manifest(pod, run)
    if args.verb == "locate":
        return locate(run, args.tail, args.since)
    if args.verb == "follow":
        log = Feed(run, "log", args.log_offset, args.log_generation)
        events = Feed(run, "events", args.event_offset, args.event_generation)
        Follower(pod, run, [log, events]).live()
        return None
    supervise(pod, run)
    return None


def main(argv: List[str]) -> int:
    os.umask(0o077)
    args = parse(argv)
    try:
        said = answer(args)
    except AgentError as err:
        print(json.dumps(err.answer), flush=True)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as err:
        code = "disk_full" if err.errno in (errno.ENOSPC, errno.EDQUOT) else "io"
        print(json.dumps({"ok": False, "error": code, "message": f"pod: {err}"}), flush=True)
        return 1
    if said is not None:
        print(json.dumps({"ok": True, **said}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
