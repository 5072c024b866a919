"""Where a sequence happens: one pod, two laptops, and what can be known without the product."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from moola_remote.agent.constants import ENDED
from moola_remote.ssh.endpoint import Endpoint
from tests.campaign.machine import Disk, Machine
from tests.support.pods import AgentPod
from tests.support.projects import pod_file

PATIENCE_S = 60.0
LAPTOP_MB = 64
JOB = Path(__file__).with_name("job.py")
# What an agent of ours keeps in a run's folder beside the job's outputs.
OURS = {".moola", "workdir", "state.json", "manifest.json"}
PYPROJECT = """\
[tool.moola-remote]
pod = "host"
"""
_numbers = itertools.count()


@dataclass(frozen=True)
class Done:
    """A command that has ended; `code` is None where it was killed."""

    words: tuple[str, ...]
    code: int | None
    out: bytes
    err: str


class HangError(AssertionError):
    """A command that did not end."""


class Laptop:
    """A project and the state folder of its user, on a disk of their own."""

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        self.disk = Disk(folder, LAPTOP_MB)
        self.project, self.state = folder / "project", folder / "state"
        self._logs = folder.with_name(f"{folder.name}.logs")
        self._logs.mkdir()
        self.results = self.project / "results"
        (self.project / "configs" / "pods").mkdir(parents=True)
        (self.project / "pyproject.toml").write_text(PYPROJECT)
        (self.project / "configs" / "pods" / "host.yaml").write_text(pod_file(endpoint))
        shutil.copy(JOB, self.project / "job.py")
        (self.project / "notes.txt").write_text(f"{folder}\n")
        (self.project / ".gitignore").write_text("results/\n")
        subprocess.run(["git", "init", "-q"], cwd=self.project, check=True)

    def start(self, *words: str) -> tuple[int, Path]:
        """Fork a ``moola-remote WORDS``: a process of its own without the price of its imports."""
        log = self._logs / f"command-{next(_numbers)}"
        pid = os.fork()
        if pid == 0:
            self._become(words, log)
        return pid, log

    def _become(self, words: Sequence[str], log: Path) -> NoReturn:
        code = 70
        try:
            os.setsid()
            os.chdir(self.project)
            os.environ["MOOLA_STATE_DIR"] = str(self.state)
            random.seed()
            for target, suffix in ((1, ".out"), (2, ".err")):
                file = os.open(f"{log}{suffix}", os.O_WRONLY | os.O_CREAT)
                os.dup2(file, target)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            # pytest may have taken these over.
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            from moola_remote.cli.error_handler import run

            code = run(words)
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def end(self, started: tuple[int, Path], words: tuple[str, ...]) -> Done:
        """Wait for a command that `start` began.

        Raises:
            HangError: it does not end.
        """
        pid, log = started
        deadline = time.monotonic() + PATIENCE_S
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise HangError(f"{words} after {PATIENCE_S} s: {_text(log, '.err')}")
            time.sleep(0.005)
        code = os.waitstatus_to_exitcode(status)
        out = Path(f"{log}.out").read_bytes() if Path(f"{log}.out").exists() else b""
        return Done(words, None if code < 0 else code, out, _text(log, ".err"))

    def run(self, *words: str) -> Done:
        """A command to its end."""
        return self.end(self.start(*words), words)

    def killed(self, after_s: float, *words: str) -> Done:
        """A command that is killed after some time, unless it has ended by then."""
        pid, log = self.start(*words)
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
        return self.end((pid, log), words)


def _text(log: Path, suffix: str) -> str:
    path = Path(f"{log}{suffix}")
    return path.read_text(errors="replace") if path.exists() else ""


class World:
    """A pod and two laptops.

    Args:
        folder: for what belongs to it; made here.
        machine: the pod. Of what was on it only its environments and agents stay.
    """

    def __init__(self, folder: Path, machine: Machine) -> None:
        folder.mkdir(parents=True)
        self.folder, self.machine = folder, machine
        self.pod = AgentPod(machine.root)
        if machine.root.exists():
            for path in machine.root.iterdir():
                if path.name not in {"env", "agent"}:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.pod.enter = machine.enter
        self.laptops = [Laptop(folder / name, machine.endpoint) for name in ("ann", "bob")]

    def reboot(self) -> None:
        """Cut the pod's power, and boot it again."""
        self.machine.reboot()
        self.pod.enter = self.machine.enter

    def kill(self, run_id: str, *whom: str) -> None:
        """``kill -9`` some of a run's ``supervisor``, ``keeper`` and ``job``, all found first."""
        state = self.pod.stored(run_id)
        job = int(state["job"]["pid"])
        pids = {"supervisor": int(state["supervisor"]["pid"]), "job": job}
        if "keeper" in whom:
            pids["keeper"] = self.machine.parent(job)
        for who in whom:
            self.machine.kill(pids[who])

    def close(self) -> None:
        """End everything that this world has started."""
        self.machine.end_all()
        for laptop in self.laptops:
            laptop.disk.close()
        shutil.rmtree(self.folder)

    def executions(self) -> Counter[str]:
        """How often each run's job was started, as the jobs say themselves."""
        with contextlib.suppress(FileNotFoundError):
            return Counter((self.folder / "executed").read_text().split())
        return Counter()

    def runs(self) -> list[str]:
        """The runs on the pod."""
        return sorted(path.name for path in (self.pod.root / "runs").glob("[0-9]*"))

    def state(self, run_id: str) -> str:
        """A run's state as it is stored, ``?`` where it can't be read."""
        try:
            return str(self.pod.stored(run_id)["state"])
        except (OSError, ValueError, KeyError, TypeError):
            return "?"

    def ended(self) -> list[str]:
        """The runs on the pod that have ended."""
        return [run_id for run_id in self.runs() if self.state(run_id) in ENDED]

    def outputs(self, run_id: str) -> dict[str, str]:
        """SHA-256 of each file that a run has on the pod now, whatever the product says."""
        top = self.pod.folder(run_id)
        found = {name: digest for name, digest in hashes(top) if name.split("/")[0] not in OURS}
        copy, sealed = top / "workdir", self._sealed(run_id)
        for name, digest in hashes(copy):
            if sealed.get(name) != digest:
                found[f"workdir/{name}"] = digest
        return found

    def _sealed(self, run_id: str) -> dict[str, str]:
        code = json.loads((self.pod.folder(run_id) / "spec.json").read_bytes()).get("code")
        return dict(hashes(self.pod.root / "code" / code)) if code else {}


def hashes(top: Path) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of each regular file below a folder."""
    for folder, _, names in os.walk(top):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                yield str(path.relative_to(top)), digest
