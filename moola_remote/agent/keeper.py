"""The keeper: prepares the job, waits for it, records how it ended."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
from pathlib import Path
from typing import Dict, List, NamedTuple

from moola_remote.agent.bytecode import cache_of, drop_torn
from moola_remote.agent.constants import Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import read_json, words_of
from moola_remote.agent.layout import Pod, Run, as_text
from moola_remote.agent.processes import identity, oom_kills
from moola_remote.agent.redaction import Mask
from moola_remote.agent.workdir import make_workdir


class Launch(NamedTuple):
    """A job as it is executed."""

    argv: List[str]
    env: Dict[str, str]
    cwd: Path


def prepare(pod: Pod, run: Run, spec: Json) -> Launch:
    """Return what the spec means on this pod.

    Raises:
        AgentError: the code, the data or the environment is not here.
    """
    needs = {kind: pod.root / kind / spec[kind] for kind in ("code", "data") if spec.get(kind)}
    if spec.get("environment"):
        needs["environment"] = pod.root / "env" / spec["environment"]
    for kind, path in needs.items():
        if not path.is_dir() or not (path.parent / f"{path.name}.json").is_file():
            raise AgentError("not_deployed", f"{kind} {path.name} is not on the pod; deploy it")
    drop_torn(pod.root)
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SSH_", "MOOLA_")) and key != "RUNPOD_API_KEY"
    }
    env.update(job_environment(pod, run), **(spec.get("env") or {}))
    env.update(read_json(run.own / Mask.FILE) or {})
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
    if "code" not in needs:
        return Launch(argv, env, run.path)
    try:
        make_workdir(run, needs["code"])
    except OSError as err:
        raise AgentError("io", f"working copy of the code: {words_of(err)}") from err
    return Launch(argv, env, run.workdir)


def job_environment(pod: Pod, run: Run) -> Dict[str, str]:
    return {
        "MOOLA_RUN_ID": run.id,
        "MOOLA_RUN_DIR": str(run.path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPYCACHEPREFIX": str(cache_of(pod.root)),
        "NUMBA_CACHE_DIR": str(pod.root / "cache" / "numba"),
    }


def keep(run: Run, launch: Launch) -> int:
    """Keep one job: start it, report that on stdout, wait, record its end."""
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
    """Do the child's last steps before its program; never returns."""
    try:
        os.setsid()
        log = os.open(run.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        # Python ignores SIGPIPE and SIGXFSZ, the keeper SIGTERM: a program expects none of that.
        for number in ("SIGTERM", "SIGHUP", "SIGINT", "SIGPIPE", "SIGXFSZ"):
            signal.signal(getattr(signal, number), signal.SIG_DFL)
        # When memory runs out, the job is killed before the processes that have to record it.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("200", encoding="ascii")
        # End of file: the keeper died before it could write down who we are.
        if os.read(go, 1) == b"g":
            os.chdir(launch.cwd)
            os.execvpe(launch.argv[0], launch.argv, launch.env)
    except OSError as err:
        why = f"{launch.argv[0]}: {why_not_started(launch.argv[0], err)}"
        os.write(errors, as_text(why).encode())
    finally:
        os._exit(127)


def why_not_started(program: str, err: OSError) -> str:
    """Return why a program could not be started, as far as its file says more than the system."""
    words = err.strerror or str(err)
    try:
        with open(program, "rb") as file:  # noqa: PTH123 - a moment before the end of a child
            first = file.read(256).split(b"\n")[0]
    except OSError:
        return words
    if err.errno == errno.EACCES and not os.access(program, os.X_OK):
        return f"{words}: it is not executable; chmod +x, or begin with its interpreter"
    if err.errno in (errno.ENOENT, errno.EACCES) and first.startswith(b"#!"):
        line = first.decode("utf-8", "backslashreplace")
        is_windows = ", and it ends as on Windows (CRLF)" if line.endswith("\r") else ""
        return f"{words}: the program of its first line, {line.strip()}{is_windows}"
    if err.errno == errno.ENOEXEC:
        return f"{words}: no first line such as #!/bin/sh, and no program of this machine"
    return words


def record_end(run: Run, end: Json) -> None:
    """Write how the job ended; on a disk without any room, as soon as there is some."""
    while run.path.is_dir():  # once the folder was removed there is nothing to record
        with contextlib.suppress(OSError):
            run.write(".exit.json", end)
            return
        time.sleep(1.0)
