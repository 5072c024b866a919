"""The packages of an environment: over those of the pod's own Python, whose torch stays."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Callable, Container, Dict, List, NamedTuple, Optional

from moola_remote.agent.constants import Json
from moola_remote.agent.downloads import Progress, canonical, plan_by_uv, say
from moola_remote.agent.errors import AgentError
from moola_remote.agent.lazy import shutil, subprocess

# Built for the driver and the GPUs of the image, and large.
TORCH = ("torch", "torchvision", "torchaudio")
# Of two of one name the first is imported. pip's own list costs the start of pip, half a second.
LIST_PACKAGES = """
import importlib.metadata as metadata, json
found = [d.metadata for d in metadata.distributions()]
print(json.dumps({m["Name"]: m["Version"] for m in reversed(found) if m["Name"]}))
"""
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


class Wanted(NamedTuple):
    """What is installed: files in pip's form, and the options for pip and uv."""

    listed: Path
    options: List[str]
    reasons: Dict[str, str]
    missing: List[str]


def install(cache: Path, folder: Path, asked: Json) -> None:
    """Install what the base lacks; where it lacks nothing, nothing is asked of the network.

    Args:
        cache: where pip and uv keep what they fetched.
        folder: of the environment, with the base's packages in sight.
        asked: ``requirements``, and the rest of docs/protocol.md.
    """
    if asked.get("files"):
        say("from the code that was sent: " + ", ".join(map(os.path.basename, asked["files"])))
    python = str(folder / "bin" / "python")
    os.environ.setdefault("PIP_CACHE_DIR", str(cache / "pip"))
    os.environ.setdefault("UV_CACHE_DIR", str(cache / "uv"))
    has_pip = subprocess.run([python, "-c", "import pip"], capture_output=True, check=False)
    if has_pip.returncode != 0:
        run_quietly([python, "-m", "ensurepip"])
    # A job's bytecode is elsewhere (agent/bytecode.py): what pip would compile nobody reads.
    pip = [python, "-m", "pip", "install", "--no-input", "--no-compile"]
    pip += ["--disable-pip-version-check"]
    if not asked.get("locked") and not asked.get("constraints"):
        # The usual case first: it needs no look at what the base has.
        listed = write(folder / "requirements.txt", asked["requirements"])
        if is_satisfied(pip, ["-r", str(listed)]):
            say("the pod's own packages satisfy the requirements")
            return
    base = packages(python)
    wanted = want(folder, pip, asked, base)
    if is_satisfied(pip, wanted.options):
        say("the pod's own packages satisfy the requirements")
        return
    say("installing what the pod lacks")
    if fill_by_uv(folder, python, wanted, base):
        # It took what the base has as good: pip says whether it is.
        if is_satisfied(pip, wanted.options):
            return
        say("uv has left something out; pip continues")
    with Progress(say, [], wanted.reasons, wanted.missing) as progress:
        run_loudly([*pip, "--progress-bar", "off", *wanted.options], progress.feed)


def want(folder: Path, pip: List[str], asked: Json, base: Dict[str, str]) -> Wanted:
    """Return what is left to install beside the base's torch, which stays unless asked for."""
    kept = {name: base[name] for name in TORCH if name in base}
    if asked.get("torch") == "project":
        kept = {}
    text = asked["requirements"]
    if asked.get("locked"):
        text = asked.get("without_torch") or "" if "torch" in kept else text
        listed = write(folder / "requirements.txt", text)
        options = ["--no-deps", "-r", str(listed)]
    else:
        text = less(text, kept, pip, folder)
        listed = write(folder / "requirements.txt", text)
        options = ["-r", str(listed)]
    bounds = "".join(
        f"{line}\n"
        for line in (asked.get("constraints") or "").splitlines()
        if not is_of(line, kept)
    )
    bounds += "".join(f"{name}=={version}\n" for name, version in kept.items())
    if bounds and not asked.get("locked"):
        bounds_file = write(folder / "constraints.txt", bounds)
        options += ["-c", str(bounds_file)]
    named = {canonical(found[1]) for line in text.splitlines() if (found := _NAME.match(line))}
    reasons = dict.fromkeys(named, "asked for by the project's own list")
    return Wanted(listed, options, reasons, [name for name in TORCH[:1] if name not in base])


def less(text: str, kept: Dict[str, str], pip: List[str], folder: Path) -> str:
    """Return the list without the packages of the base that stay; report whether they fit."""
    lines: List[str] = []
    taken: List[str] = []
    for line in text.splitlines():
        (taken if is_of(line, kept) else lines).append(line)
    alone = write(folder / "torch.txt", "".join(line + "\n" for line in taken))
    if taken and not is_satisfied([*pip, "--dry-run"], ["--no-deps", "-r", str(alone)]):
        has = ", ".join(f"{name} {version}" for name, version in kept.items())
        wishes = ", ".join(line.strip() for line in taken)
        say(
            f"note: the project asks for {wishes}; the pod's own "
            f'{has} stays, since it fits its GPU; torch = "project" in [tool.moola-remote] or '
            "moola-remote.toml replaces it"
        )
    return "".join(line + "\n" for line in lines)


def is_of(line: str, names: Container[str]) -> bool:
    """Return whether a line in pip's form is of one of these packages."""
    found = _NAME.match(line)
    return found is not None and canonical(found[1]) in names


def is_satisfied(pip: List[str], options: List[str]) -> bool:
    """Return whether everything is already installed."""
    argv = [*pip, "--quiet", "--no-index", *options]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def packages(python: str) -> Dict[str, str]:
    """Return what a Python has: each package's version by its name as indexes write it."""
    listed: Dict[str, str] = json.loads(run_quietly([python, "-c", LIST_PACKAGES]))
    return {canonical(name): version for name, version in listed.items()}


def fill_by_uv(folder: Path, python: str, wanted: Wanted, base: Dict[str, str]) -> bool:
    """Install by uv what the base lacks; False where there is none, or it fails.

    It sees no package outside its environment, so it gets a list of the base's, never to need them.
    """
    uv, pip = shutil.which("uv"), [python, "-m", "pip", "--disable-pip-version-check"]
    # It would not look where pip is configured to look.
    if uv is None or re.search(r"index|find-links", run_quietly([*pip, "config", "list"])):
        return False
    never = write(
        folder / "never.txt", "".join(f"{name} ; python_version < '0'\n" for name in base)
    )
    common = ["--python", python, "--override", str(never)]
    planned = plan_by_uv([uv, "pip", "compile", *common, *_as_compiled(wanted.options)])
    try:
        with Progress(say, planned, wanted.reasons, wanted.missing) as progress:
            run_loudly([uv, "pip", "install", *common, *wanted.options], progress.feed)
    except AgentError as err:
        say(str(err))
        return False
    return True


def _as_compiled(options: List[str]) -> List[str]:
    """Return the options of ``uv pip compile``: its list stands without ``-r``."""
    return [word for word in options if word != "-r"]


def write(path: Path, text: str) -> Path:
    """Return a file of the environment's."""
    path.write_text(text, encoding="utf-8")
    return path


def run_quietly(argv: List[str]) -> str:
    """Return what a program prints; its last line is the error if it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as err:
        raise AgentError("environment", f"{argv[0]}: {err.strerror}") from err
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        command = " ".join(argv[:4])
        raise AgentError("environment", f"{command}: exit code {done.returncode}: {lines[-1:]}")
    return done.stdout.decode("utf-8", "replace")


def run_loudly(argv: List[str], hear: Optional[Callable[[str], None]] = None) -> None:
    """Its output is our progress; the last of it says why it failed."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        assert child.stdout is not None
        last = ""
        for raw in child.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            if hear is not None:
                hear(line)
            say(line)
            last = line if line.startswith("ERROR") or not last.startswith("ERROR") else last
    if child.returncode != 0:
        raise AgentError("environment", f"installing packages failed: {last}")
