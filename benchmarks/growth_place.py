"""Where growth.py measures: OpenSSH's sshd on loopback, a project, the CPU time of both sides."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.keeping import Keeping, keeping
from tests.support.masters import end_masters, masters
from tests.support.projects import PROGRAM, Project, make_project
from tests.support.servers import running_openssh, ssh_options

TICKS_S = os.sysconf("SC_CLK_TCK")
# What a run of the seed's recipe leaves: a recipe of its size, events, scores.
JOB = """
import json, os, pathlib, shutil, sys
folder = pathlib.Path(os.environ["MOOLA_RUN_DIR"])
shutil.copy("recipe.yaml", folder / "config.yaml")
scores = {"f1": {"value": 0.5, "low": 0.4, "high": 0.6}}
result = {"schema": 1, "recipe": "jade", "seed": 0, "device": "cpu", "epochs": 3, "seconds": 0.3,
          "decoder": {"kind": "threshold", "threshold": 0.5},
          "scores": {"validation": scores, "test": None}, "baselines": {}, "sigma": {},
          "share": {}, "num_parameters": 1, "data": {"files": []}}
(folder / "result.json").write_text(json.dumps(result))
for number in range(int(sys.argv[1])):
    path = folder / "artifacts" / f"part-{number // 100:03d}" / f"{number:06d}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"output {number}\\n" * 20)
"""
# Runs the words behind it, and prints the memory of their largest process, kB.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
RECIPE = Path(__file__).resolve().parents[1] / "configs" / "train" / "jade.yaml"


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds of CPU here and on the pod, and of wall; its stdout."""

    here_s: float
    pod_s: float
    wall_s: float
    out: str = ""

    @property
    def cpu_s(self) -> float:
        """Both sides."""
        return self.here_s + self.pod_s


@dataclass(frozen=True)
class Place:
    """A server, a project on the laptop, the client, and what is needed to measure there."""

    folder: Path
    endpoint: Endpoint
    project: Project
    sshd: int
    program: Path

    @property
    def root(self) -> Path:
        """The pod's folder, seen from here."""
        return Path(self.endpoint.root)

    @property
    def ssh(self) -> list[str]:
        """OpenSSH's client, up to the command."""
        where = f"{self.endpoint.user}@{self.endpoint.host}"
        return ["ssh", *ssh_options(self.endpoint, self.folder), where]

    def rsync(self, source: str, dest: str, names: Path | None = None) -> Cost:
        """``rsync -a`` to or from ``pod:``, with ``--files-from`` where there are `names`."""
        return self.measure(self.rsync_argv(source, dest, names))

    def rsync_argv(self, source: str, dest: str, names: Path | None = None) -> list[str]:
        """Return the command line of `rsync`."""
        rsh = " ".join(["ssh", *ssh_options(self.endpoint, self.folder)])
        where = f"{self.endpoint.user}@{self.endpoint.host}:"
        listed = [f"--files-from={names}", "--from0"] if names else []
        words = [part.replace("pod:", where) for part in (source, dest)]
        return ["rsync", "-a", *listed, "-e", rsh, *words]

    def argv(self, *words: str) -> list[str]:
        """Return the command line of a command of ours."""
        return [str(self.program), "--pod", "host", *words]

    def moola(self, *words: str) -> Cost:
        """Run a command of ours to its end."""
        return self.measure(self.argv(*words))

    def peak_mb(self, argv: Sequence[str]) -> float:
        """Run a command; the memory of the largest of its processes here, in megabytes."""
        return float(self.measure([sys.executable, "-c", PEAK, *argv]).out.split()[-1]) / 1000

    def measure(self, argv: Sequence[str], stdout: int = subprocess.PIPE) -> Cost:
        """Run a command; its CPU and its children's here, and that of sshd's children."""
        pod_before, masters, began = self._pod_cpu(), self._masters(), time.monotonic()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        env = {**os.environ, "MOOLA_STATE_DIR": str(self.project.state)}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled once
        done = subprocess.run(
            argv,
            cwd=self.project.folder,
            env=env,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
        )
        wall_s = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            raise SystemExit(f"{argv[:6]}: exit code {done.returncode}: {done.stderr[-400:]!r}")
        here_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        here_s += sum(cpu_s - masters.get(pid, 0.0) for pid, cpu_s in self._masters().items())
        pod_s = self._pod_cpu() - pod_before
        return Cost(here_s, pod_s, wall_s, (done.stdout or b"").decode("utf-8", "replace"))

    def end_masters(self) -> None:
        """Close the connections that stay."""
        end_masters(self._keep)

    @property
    def _keep(self) -> Keeping:
        keep = keeping(self.project.state, 1)
        assert keep
        return keep

    def _masters(self) -> dict[int, float]:
        """CPU seconds of each connection that stays, this machine's side."""
        return {pid: _cpu_s(pid, 13) for pid in masters(self._keep.folder)}

    def _pod_cpu(self) -> float:
        """CPU seconds of sshd and what is below it, once no command is at work there."""
        deadline = time.monotonic() + 10
        while self._is_at_work() and time.monotonic() < deadline:
            time.sleep(0.01)
        return sum(_cpu_s(pid, 15) for pid in (self.sshd, *_below(self.sshd)))

    def _is_at_work(self) -> bool:
        is_closing = len(_children(self.sshd)) > len(masters(self._keep.folder))
        return is_closing or any(_name_of(pid) != "sshd" for pid in _below(self.sshd))

    def write_files(self, count: int) -> Path:
        """Give the project `count` source files under ``src``; the list that git has of it all."""
        shutil.rmtree(self.project.folder / "src", ignore_errors=True)
        for number in range(count):
            path = f"src/part{number // 100:04d}/module{number:06d}.py"
            file = self.project.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"NUMBER = {number}\n" * 20)
        self.project.git("add", "--all")
        self.project.git("commit", "--quiet", "--allow-empty", "--message=files")
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=self.project.folder, check=True, capture_output=True
        )
        names = self.folder / "names"
        names.write_bytes(listed.stdout)
        return names

    def empty_pod(self) -> None:
        """Take the code off the pod."""
        shutil.rmtree(self.root / "code", ignore_errors=True)
        shutil.rmtree(self.folder / "peer", ignore_errors=True)
        (self.folder / "peer").mkdir()

    def end_one(self, num_outputs: int = 0) -> str:
        """Run a real job to its end; its id."""
        run_id = self.start("python", "job.py", str(num_outputs))
        self.wait(run_id)
        return run_id

    def start(self, *argv: str) -> str:
        """Start a run and leave it; its id."""
        return self.moola("run", "--detach", "--", *argv).out.split()[-1]

    def state(self, run_id: str) -> dict[str, object]:
        """Return a run's state as it is stored."""
        found: dict[str, object] = json.loads((self.root / f"runs/{run_id}/state.json").read_text())
        return found

    def wait(self, run_id: str, state: str = "SUCCEEDED") -> None:
        """Wait for a run to come to a state, two minutes at most."""
        deadline = time.monotonic() + 120
        while self.state(run_id)["state"] != state:
            if time.monotonic() > deadline:
                raise SystemExit(f"run {run_id}: {self.state(run_id)['state']}, expected {state}")
            time.sleep(0.02)

    def copy_runs(self, folder: Path, run_id: str, total: int) -> None:
        """Have `total` ended runs below `folder`, copies of `run_id` under ids of their own."""
        there = sum(1 for _ in folder.glob("[!.]*/state.json"))
        for number in range(there, total):
            copy_id = f"20260101-{number:06d}-bench-{number:04x}"
            copy = folder / copy_id
            shutil.copytree(folder / run_id, copy, symlinks=True)
            for path in (copy / "state.json", copy / "spec.json", copy / "manifest.json"):
                path.write_text(path.read_text().replace(run_id, copy_id))


@contextlib.contextmanager
def place(program: Path = PROGRAM) -> Iterator[Place]:
    """Yield an sshd of its own, and a project whose environment is on the pod already.

    Args:
        program: the client that is measured.
    """
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        folder = Path(name)
        with running_openssh(folder / "server") as endpoint:
            project = make_project(folder / "project", folder / "state", endpoint)
            project.write("job.py", JOB)
            project.write("recipe.yaml", RECIPE.read_text(encoding="utf-8"))
            project.git("add", "--all")
            here = Place(folder, endpoint, project, _sshd(), program)
            here.moola("deploy")
            yield here


def _sshd() -> int:
    return next(pid for pid in _children(os.getpid()) if _name_of(pid) == "sshd")


def _children(pid: int) -> list[int]:
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return list(map(int, words))


def _below(pid: int) -> list[int]:
    return [found for child in _children(pid) for found in (child, *_below(child))]


def _cpu_s(pid: int, end: int) -> float:
    """Seconds of a process; with 15 for `end`, those of its children that have ended, too."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return 0.0
    return sum(map(int, fields[11:end])) / TICKS_S


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "sshd"  # it has ended meanwhile
