"""``environment``: a virtual environment over the pod's own packages."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import List

from moola_remote.agent.constants import SCHEMA, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import read_json, write_json
from moola_remote.agent.gpus import gpu_rows
from moola_remote.agent.layout import Pod
from moola_remote.agent.lazy import shutil, subprocess
from moola_remote.agent.locks import locked
from moola_remote.agent.trees import check_digest

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
