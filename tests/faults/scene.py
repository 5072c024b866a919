"""Where a fault happens: a server, a line to it, a project, and what is found out."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from moola_remote.providers.local.state import LocalPodFolder
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.keeping import keeping
from tests.support.lines import Line
from tests.support.masters import end_masters
from tests.support.pods import AgentPod, is_gone, wait_until
from tests.support.projects import PROGRAM, Project, make_project
from tests.support.servers import SSHD, running_local_pod, running_openssh

ServerKind: TypeAlias = Literal["embedded", "OpenSSH"]
PATIENCE_S = 100.0
# Numbered lines, perhaps a wait for `.go`, then the end: run twice, or cut, its log is another.
STEADY = """
import os, sys, time
for number in range(int(sys.argv[1])):
    os.write(1, b"line %d of a log that must arrive whole\\n" % number)
    time.sleep(float(sys.argv[2]))
while sys.argv[3] == "wait" and not os.path.exists(os.environ["MOOLA_RUN_DIR"] + "/.go"):
    time.sleep(0.02)
os.write(1, b"end\\n")
"""


def steady(num_lines: int, pause_s: float = 0.01, end: Literal["wait", "end"] = "end") -> list[str]:
    """A job that writes `steady_log`, and then may wait for `Scene.go`."""
    return ["python", "-c", STEADY, str(num_lines), str(pause_s), end]


def steady_log(num_lines: int) -> str:
    """What `STEADY` writes."""
    text = "line {} of a log that must arrive whole\n"
    return "".join(text.format(number) for number in range(num_lines)) + "end\n"


@dataclass
class Findings:
    """What came of a fault."""

    tries: int
    lost: list[str] = field(default_factory=list)
    saw: str = ""
    skipped: str = ""

    def expect(self, is_so: bool, what: str) -> None:
        """`what` is lost unless `is_so`."""
        if not is_so:
            self.lost.append(what)


@dataclass
class Client:
    """A command of the user's while it runs; what it says goes to files."""

    process: subprocess.Popen[str]
    folder: Path

    @property
    def out(self) -> str:
        """Its stdout so far."""
        return (self.folder / "out").read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """Its stderr so far."""
        return (self.folder / "err").read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        """Until it has said something, on either stream."""
        wait_until(lambda: text in self.out or text in self.err, timeout_s=PATIENCE_S)

    def end(self) -> int:
        """Its exit code, in the end."""
        return self.process.wait(timeout=PATIENCE_S)

    def kill(self) -> None:
        """``kill -9``, of the client alone."""
        self.process.kill()
        self.process.wait()


@dataclass
class Scene:
    """A server, the line to it, and a project whose pod ``host`` is behind that line."""

    kind: ServerKind
    folder: Path
    endpoint: Endpoint
    line: Line
    project: Project
    stack: contextlib.ExitStack

    @property
    def pod(self) -> AgentPod:
        """The pod's folder, which is on this machine."""
        return AgentPod(Path(self.endpoint.root))

    @contextlib.contextmanager
    def client(self, *words: str, project: Project | None = None) -> Iterator[Client]:
        """A command that runs; killed at the end if need be."""
        folder = self.folder / f"client-{time.monotonic_ns()}"
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            streams = {
                name: stack.enter_context((folder / word).open("wb"))
                for name, word in (("stdout", "out"), ("stderr", "err"))
            }
            running = (project or self.project).running(PROGRAM, *words, **streams)
            yield Client(stack.enter_context(running), folder)

    def begin(self, *argv: str, project: Project | None = None) -> str:
        """Start a run and leave it; its id."""
        out = (project or self.project).ok("run", "--detach", "--", *argv)
        return out.strip()

    def begin_steady(self, num_lines: int, pause_s: float = 0.0) -> str:
        """Start a steady job that waits at its end; its id."""
        run_id = self.begin(*steady(num_lines, pause_s, "wait"))
        self.pod.wait(run_id, "RUNNING")
        return run_id

    def go(self, run_id: str) -> None:
        """Let a run end."""
        (self.pod.folder(run_id) / ".go").touch()

    def check_steady(self, found: Findings, run_id: str, num_lines: int) -> None:
        """The job ran once, to its end, and that is what is reported."""
        state = self.pod.wait(run_id, timeout_s=PATIENCE_S)
        found.expect(state["state"] == "SUCCEEDED", f"{run_id}: reported as {state['state']}")
        log = (self.pod.folder(run_id) / "log").read_text(encoding="utf-8")
        found.expect(log == steady_log(num_lines), f"{run_id}: not executed exactly once")

    def kill_server(self) -> None:
        """``kill -9`` of the server and of each of its sessions; what they started lives on."""
        for pid in self._server_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_until(partial(is_gone, pid))

    def revive_server(self) -> None:
        """Start OpenSSH's sshd again, on its port; the embedded one the client starts itself."""
        if self.kind == "embedded":
            local = LocalPodFolder(self.folder / "state" / "local-pod")
            record = wait_until(local.running, timeout_s=PATIENCE_S)
            self.line.target = record.port
            self.endpoint = replace(self.endpoint, port=record.port)
        else:
            folder = self.folder / "server"
            argv = [SSHD, "-D", "-E", folder / "sshd.log", "-f", folder / "sshd_config"]
            server = subprocess.Popen(list(map(str, argv)))
            self.stack.callback(server.wait)
            self.stack.callback(server.terminate)

    def end_kept(self) -> None:
        """Close the connections that have stayed from commands before."""
        end_masters(keeping(self.project.state, 1))

    def _server_pids(self) -> list[int]:
        if self.kind == "embedded":
            record = LocalPodFolder(self.folder / "state" / "local-pod").running()
            return [record.pid] if record else []
        mark = str(self.folder / "server" / "sshd_config").encode()
        parents = _sshd_parents()
        family = [pid for pid in parents if mark in Path(f"/proc/{pid}/cmdline").read_bytes()]
        for pid in family:  # grows as it is walked
            family += [child for child, parent in parents.items() if parent == pid]
        return family


def _sshd_parents() -> dict[int, int]:
    """The parent of each process of OpenSSH's server on this machine."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, _, rest = (path / "stat").read_text().partition("(")[2].rpartition(")")
            if name.startswith("sshd"):
                found[int(path.name)] = int(rest.split()[1])
    return found


@contextlib.contextmanager
def scene(kind: ServerKind, folder: Path) -> Iterator[Scene]:
    """A server of its own with a project of its own; what still runs at the end is ended."""
    with contextlib.ExitStack() as stack:
        state = folder / "state"
        state.mkdir(parents=True)
        running = (
            running_local_pod(state / "local-pod")
            if kind == "embedded"
            else running_openssh(folder / "server")
        )
        endpoint = stack.enter_context(running)
        line = Line(endpoint.port)
        stack.callback(line.cut)
        project = make_project(folder / "project", state, replace(endpoint, port=line.port), "host")
        made = Scene(kind, folder, endpoint, line, project, stack)
        stack.callback(made.pod.clear)
        project.ok("deploy")
        yield made


def reported(client: Client | subprocess.CompletedProcess[str], run_id: str = "-") -> str:
    """What the user read on stderr, in one line; ids and ports, which change, by their names."""
    text = client.err if isinstance(client, Client) else client.stderr
    for pattern, name in ((re.escape(run_id), "RUN"), (r"127\.0\.0\.1:\d+", "HOST:PORT")):
        text = re.sub(pattern, name, text)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    hints = ("watch it:", "end it:", "fetch it:", "latest run:", "the CPU was idle")
    return " / ".join(line for line in lines if line and not line.startswith(hints))


def at_points(work: Callable[[], object], tries: int) -> Iterator[float]:
    """So many points in time, spread over what `work` takes when nobody disturbs it."""
    began = time.monotonic()
    work()
    took_s = time.monotonic() - began
    yield from ((number + 0.5) / tries * took_s for number in range(tries))


def check_trees(found: Findings, root: Path) -> None:
    """Whatever the pod calls complete is complete."""
    for record in [*root.glob("code/*.json"), *root.glob("data/*.json")]:
        for file in json.loads(record.read_bytes())["files"]:
            path = record.with_suffix("") / file["path"]
            is_same = hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
            found.expect(is_same, f"{path}: not as its list says")


def check_fetched(found: Findings, far: Path, near: Path, below: str = "") -> None:
    """What was fetched is what was written, all of it, or all below a folder."""
    for file in json.loads((far / "manifest.json").read_bytes())["files"]:
        if not file["path"].startswith(below):
            continue
        path = near / file["path"]
        is_same = path.is_file() and path.read_bytes() == (far / file["path"]).read_bytes()
        found.expect(is_same, f"{path}: missing or different")
