"""A pod's folder on this machine, and its agent as a program: for tests of the agent itself."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import json
import marshal
import os
import secrets
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pip
import pytest

from moola_remote.agent import processes
from moola_remote.agent.constants import ENDED
from moola_remote.agent_client.program import agent_program
from tests.support.lanes import HANGS_S
from tests.support.prefork import Prefork
from tests.support.shared import kernels, made_once

DIGEST, CONTENT = agent_program()


def _written() -> Path:
    """Write the agent's .pyz to a file that ends with this process.

    Beside each module stands what this Python compiles it to, a third of what a verb costs; other
    Pythons compile the module, as a pod does.
    """
    with tempfile.NamedTemporaryFile(prefix=f"{DIGEST}-", suffix=".pyz", delete=False) as file:
        file.write(CONTENT)
    path = Path(file.name)
    with zipfile.ZipFile(path, "a") as archive:
        for name in archive.namelist():
            compiled = compile(archive.read(name), f"{path}/{name}", "exec", dont_inherit=True)
            # PEP 552: hashed, and not to be checked against the source
            head = importlib.util.MAGIC_NUMBER + struct.pack("<I", 1)
            hashed = importlib.util.source_hash(archive.read(name))
            archive.writestr(f"{name}c", head + hashed + marshal.dumps(compiled))
    atexit.register(path.unlink)
    return path


AGENT = _written()
PREFORKED = Prefork(sys.executable, "-ISB", Path(__file__).with_name("prefork.py"), "agent", AGENT)


def put_agent(root: str) -> None:
    """Put the compiled agent on a pod for many tests, as if an earlier command had sent it."""
    path = Path(root, "agent", f"{DIGEST}.pyz")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(AGENT, path)


def share_cache(root: Path, factory: pytest.TempPathFactory) -> None:
    """Give a pod that trains the bytecode and kernels of the session's others.

    Without it each new pod compiles torch and numba for itself, as a pod does once.
    """
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    (root / "cache").mkdir(exist_ok=True)
    (root / "cache" / "numba").symlink_to(kernels())
    (root / "cache" / "pycache").symlink_to(made_once(factory, "pod-pycache", lambda _: None))


def old_agent() -> bytes:
    """The agent as it was before it became a package, one file of source."""
    found = subprocess.run(
        ["git", "show", "dadcf3b:moola_remote/agent.py"],
        cwd=Path(__file__).parent, capture_output=True, check=False,
    )  # fmt: skip
    if found.returncode != 0:
        pytest.skip("no history here: git fetch --unshallow")
    return found.stdout


def wait_until(is_done: Callable[[], Any], *, timeout_s: float = HANGS_S) -> Any:
    """The first true answer; polls to a deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = is_done()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"still {answer!r} after {timeout_s} s"
        time.sleep(0.02)


class AgentPod:
    """One root and the agent at work in it."""

    def __init__(self, root: Path, python: str = sys.executable) -> None:
        self.root = root
        self.python = python
        self.agent = AGENT
        self.env: dict[str, str] = {}
        self.enter: list[str] = []  # words before each command line

    def argv(self, *words: str) -> list[str]:
        """An agent's command line."""
        agent = [self.python, "-ISB", str(self.agent), "--root", str(self.root)]
        return [*self.enter, *agent, *words]

    def ask(self, *words: str, stdin: Any = None) -> dict[str, Any]:
        """A verb's answer; `stdin` is text, or is sent as JSON."""
        text = stdin if isinstance(stdin, str) else json.dumps(stdin)
        env = {**os.environ, **self.env}
        if (self.python, self.agent, self.enter) == (sys.executable, AGENT, []):
            words = ("--root", str(self.root), *words)
            done = PREFORKED.run(words, env, text.encode(), Path.cwd(), HANGS_S)
        else:
            done = subprocess.run(
                self.argv(*words),
                input=text.encode(),
                capture_output=True,
                check=False,
                env=env,
                timeout=HANGS_S,
            )
        assert done.stdout, done.stderr.decode()
        answer: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if answer["ok"] else 1)
        return answer

    def start(self, *argv: str, **spec: Any) -> str:
        """Start a job; its run id."""
        asked = {"run_id": f"test-{secrets.token_hex(6)}", "argv": list(argv), **spec}
        answer = self.ask("start", stdin=asked)
        assert answer["ok"], answer
        return str(asked["run_id"])

    def shell(self, script: str, **spec: Any) -> str:
        """Start a shell script; its run id."""
        return self.start("sh", "-c", script, **spec)

    def folder(self, run_id: str) -> Path:
        """The run's folder."""
        return self.root / "runs" / run_id

    def stored(self, run_id: str) -> dict[str, Any]:
        """The state as it is stored: nobody is woken by that."""
        state: dict[str, Any] = json.loads((self.folder(run_id) / "state.json").read_bytes())
        return state

    def state(self, run_id: str) -> dict[str, Any]:
        """The state as the agent reports it."""
        state: dict[str, Any] = self.ask("state", run_id)["state"]
        return state

    def wait(self, run_id: str, *states: str, timeout_s: float = HANGS_S) -> dict[str, Any]:
        """The stored state, once it is one of `states`; by default, once the run has ended."""

        def look() -> dict[str, Any] | None:
            state = self.stored(run_id)
            return state if state["state"] in (states or ENDED) else None

        state: dict[str, Any] = wait_until(look, timeout_s=timeout_s)
        return state

    def wait_for_log(self, run_id: str, text: str) -> None:
        """Until the job has written something."""
        wait_until(lambda: text in (self.folder(run_id) / "log").read_text(encoding="utf-8"))

    def wait_for_size(self, run_id: str, size: int) -> None:
        """Until the log has so many bytes."""
        wait_until(lambda: (self.folder(run_id) / "log").stat().st_size >= size)

    def process(self, run_id: str, who: str) -> int:
        """The pid of a run's ``supervisor``, ``keeper`` or ``job``."""
        key = "supervisor" if who == "supervisor" else "job"
        # A job may speak before its supervisor has noted it.
        state = wait_until(lambda: (now := self.stored(run_id))[key] and now)
        if who != "keeper":
            return int(state[who]["pid"])
        status = Path(f"/proc/{state['job']['pid']}/stat").read_text(encoding="ascii")
        return int(status.rpartition(")")[2].split()[1])

    def kill(self, run_id: str, *whom: str) -> None:
        """``kill -9`` some of a run's processes, all found first, and wait until they are gone."""
        pids = [self.process(run_id, who) for who in whom]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            wait_until(functools.partial(is_gone, pid))

    def edit(self, run_id: str, name: str, **changes: Any) -> None:
        """Change keys of one of the run's JSON files."""
        path = self.folder(run_id) / name
        path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}), encoding="utf-8")

    def end_guard(self) -> None:
        """End the guard that watches this root, if there is one."""
        mark = os.fsencode(self.root)
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ProcessLookupError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                if mark in words and b"guard" in words:
                    os.kill(int(path.name), signal.SIGKILL)

    def clear(self) -> None:
        """End what still runs; the guard last, since every verb brings it back while it is set."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (self.root / "guard.json").unlink()
        for path in (self.root / "runs").glob("[0-9a-z]*"):
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                self.ask("cancel", path.name, "--grace", "0")
        self.end_guard()


def make_bare_python(folder: Path) -> Path:
    """A virtual environment with pip, `candle` and `wick`, and somebody's editable package."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    where = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    done = subprocess.run(where, check=True, capture_output=True, text=True)
    packages = Path(done.stdout.strip())
    (packages / "pip").symlink_to(Path(pip.__file__).parent)
    for name, needs in (("candle", "Requires-Dist: wick>=2\n"), ("wick", "")):
        (packages / f"{name}.py").write_text("VALUE = 7\n")
        info = packages / f"{name}-2.5.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n"
        (info / "METADATA").write_text(head + needs)
    (packages / "__editable__.pth").write_text("/nowhere/at/all\n")
    return python


def is_gone(pid: int) -> bool:
    """The contrary of `is_alive`."""
    return not is_alive(pid)


def is_alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    found = processes.process(pid)
    return found is not None and found.is_alive


def give_gpus(pod: AgentPod, folder: Path, count: int) -> None:
    """An nvidia-smi that knows `count` GPUs."""
    row = "echo $i, NVIDIA Test, 24564, 3, 17, [N/A]"
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ni=0; while [ $i -lt {count} ]; do {row}; i=$((i+1)); done\n")
    program.chmod(0o755)
    pod.env["PATH"] = f"{folder}:{os.environ['PATH']}"
