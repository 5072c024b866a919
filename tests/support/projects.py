"""A small project of a user's, and `moola-remote` as the program that the user types."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from moola_remote.ssh.endpoint import Endpoint
from tests.support.prefork import Prefork

PROGRAM = Path(sys.executable).with_name("moola-remote")
JOB = Path(__file__).with_name("tiny_job.py")
TIMEOUT_S = 110
CLIENT = Prefork(sys.executable, Path(__file__).with_name("prefork.py"), "client", PROGRAM)

PYPROJECT = """\
[tool.moola-remote]
pod = "{pod}"
job = "tiny.train"
recipe = "calm"
recipes = "recipes"
requirements = "requirements.txt"

[tool.moola-remote.data]
numbers = ["no/such/folder", "data/numbers"]
"""
NOWHERE = Endpoint(
    name="host",
    host="127.0.0.1",
    port=1,
    user="nobody",
    identity_file=None,
    host_key=None,
    known_key=None,
    root="/nowhere",
    python="python3",
    price_per_hour=None,
)


@dataclass
class Project:
    """A project on disk, the state folder of its user, and the user's commands."""

    folder: Path
    state: Path
    env: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, text: str) -> Path:
        """Write a file of the project; its indentation is taken away."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        return file

    def git(self, *words: str) -> None:
        """Run git there, as somebody."""
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *who, *words], cwd=self.folder, check=True, capture_output=True)

    def environment(self) -> dict[str, str]:
        """What a command of the user's sees."""
        return {**os.environ, "MOOLA_STATE_DIR": str(self.state), **self.env}

    @contextmanager
    def running(self, *argv: object, **streams: Any) -> Iterator[subprocess.Popen[str]]:
        """A command of the user's while it runs, with pipes; killed at the end if need be."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen(
            [str(word) for word in argv],
            cwd=self.folder,
            env=self.environment(),
            text=True,
            **{**pipes, **streams},
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``moola-remote WORDS`` to its end, in pipes."""
        env = self.environment()
        if CLIENT.can_run(env):
            done = CLIENT.run(words, env, b"", self.folder, TIMEOUT_S)
            out, err = (
                io.TextIOWrapper(io.BytesIO(part)).read() for part in (done.stdout, done.stderr)
            )
            return subprocess.CompletedProcess(words, done.returncode, out, err)
        with self.running(PROGRAM, *words) as process:
            out, err = process.communicate(timeout=TIMEOUT_S)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def ok(self, *words: str) -> str:
        """Its stdout, once it has succeeded."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words: str) -> list[dict[str, Any]]:
        """The objects of its answer, strict JSON."""
        lines = self.ok("--json", *words).splitlines()
        return [json.loads(line, parse_constant=pytest.fail) for line in lines]

    def refused(self, code: int, *words: str) -> str:
        """Its one line of error, once it has failed with `code`."""
        done = self.run(*words)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        *talk, line = done.stderr.splitlines()
        assert line.startswith("error: "), done.stderr
        assert not any("error: " in word or "Traceback" in word for word in talk)
        return line


def _text(output: bytes) -> str:
    """As a pipe of `subprocess` in text mode gives it."""
    return io.TextIOWrapper(io.BytesIO(output)).read()


def make_project(
    folder: Path, state: Path, host: Endpoint = NOWHERE, pod: str = "local"
) -> Project:
    """A git repository with a job, a recipe, data and two pods: the embedded one and `host`."""
    project = Project(folder, state)
    project.write("pyproject.toml", PYPROJECT.format(pod=pod))
    project.write("tiny/__init__.py", "")
    project.write("tiny/train.py", JOB.read_text(encoding="utf-8"))
    project.write("recipes/calm.yaml", f"# {uuid.uuid4()}\nepochs: 3\n")  # no two are the same
    project.write("requirements.txt", "")
    project.write("data/numbers/one.txt", "1\n")
    project.write("configs/pods/local.yaml", "provider: local\n")
    project.write("configs/pods/host.yaml", pod_file(host))
    project.write(".gitignore", "results/\n*.tmp\n")
    project.git("init", "--quiet", "--initial-branch=main")
    project.git("add", ".")
    project.git("commit", "--quiet", "--message=all")
    return project


def pod_file(endpoint: Endpoint, **changes: object) -> str:
    """The file of an SSH pod; `changes` replace its keys."""
    names = ("host", "port", "user", "identity_file", "host_key", "root", "python")
    keys = {"provider": "ssh", **{name: getattr(endpoint, name) for name in names}, **changes}
    return "".join(f"{key}: {value}\n" for key, value in keys.items() if value is not None)


def read_to_end(terminal: int) -> bytes:
    """Whatever comes from our end of a pseudo-terminal until its other end is closed."""
    shown = b""
    with open(terminal, "rb", buffering=0) as file, suppress(OSError):
        # Linux tells with an error that the other end is closed.
        while data := file.read(65536):
            shown += data
    return shown
