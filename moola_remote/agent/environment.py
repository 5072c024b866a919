"""``environment``: a virtual environment over the pod's own packages."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any, Dict, Match

from moola_remote.agent.constants import SCHEMA, Json
from moola_remote.agent.downloads import say
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import write_json
from moola_remote.agent.gpus import gpu_rows
from moola_remote.agent.install import install, run_quietly
from moola_remote.agent.layout import Pod
from moola_remote.agent.lazy import shutil
from moola_remote.agent.locks import locked
from moola_remote.agent.made_environment import DESCRIBE_BASE, is_over, known_answer, marker_of
from moola_remote.agent.scripts import DESCRIBE_FOLDERS, add_scripts
from moola_remote.agent.trees import check_digest

# Of a pod's shell or image: what would have packages go elsewhere, others come along, or be for
# another Python; with PYTHONINSPECT one that we start does not end.
ELSEWHERE = (
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_DRY_RUN", "PIP_REQUIREMENT"),
    *("PIP_EDITABLE", "PIP_PLATFORM", "PIP_PYTHON_VERSION", "PIP_IMPLEMENTATION", "PIP_ABI"),
    *("UV_PROJECT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY"),
    *("PYTHONINSPECT", "PYTHONEXECUTABLE", "PYTHONWARNINGS"),
)
# The same in pip.conf, over which these take precedence.
SWITCHED_OFF = ("PIP_USER", "PIP_NO_DEPS", "PIP_IGNORE_INSTALLED", "PIP_FORCE_REINSTALL")
# As pip and uv read them in a list.
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
DESCRIBE_ENVIRONMENT = """
import importlib.metadata as metadata, json
found = [d.metadata for d in metadata.distributions()]  # parsed with each look
packages = {m["Name"]: m["Version"] for m in reversed(found) if m["Name"]}  # the first is imported
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


def environment(pod: Pod, digest: str, python: str, text: str) -> Json:
    """Make a virtual environment over `python` where it is missing; its marker is written last.

    Args:
        pod: where it lies.
        digest: its name.
        python: of the pod; its packages are in sight.
        text: what it has to have, a JSON object of docs/protocol.md; or requirements in pip's form.
    """
    asked = read_asked(text)
    credentials = asked.pop("credentials", {})
    check_digest(digest)
    pod.make()
    folder = pod.root / "env" / digest
    marker = marker_of(folder)
    with locked(pod.root / "env" / f".{digest}.lock"):
        base = ask_python(python, DESCRIBE_BASE)
        gpus = [row[0] for row in gpu_rows("name")]
        known = known_answer(pod, digest, base, gpus)
        if known is not None:
            return known
        is_there = is_over(folder, base)
        if not is_there:
            with contextlib.suppress(FileNotFoundError):
                marker.unlink()
            shutil.rmtree(folder, ignore_errors=True)
            find_files(pod, asked)
            find_credentials(asked, credentials)
            install_only_here()
            make_environment(folder, python, base)
            install(pod.root / "cache", folder, asked)
            add_scripts(folder, base["python"], ask_python(python, DESCRIBE_FOLDERS))
        say(
            "checking what is installed"
        )  # torch reports the GPUs, and a volume may change its host
        answer = {
            "python": base["version"],
            **ask_python(str(folder / "bin" / "python"), DESCRIBE_ENVIRONMENT),
        }
        stored = {"schema": SCHEMA, "digest": digest, "base": base, **asked}
        write_json(marker, {**stored, "gpus": gpus, "made_at": time.time(), "answer": answer})
    return {**answer, "created": not is_there}


def read_asked(text: str) -> Json:
    """Read what an environment has to have."""
    if not text.startswith("{"):
        return {"requirements": text}
    asked = None
    with contextlib.suppress(ValueError):
        asked = json.loads(text)
    if not isinstance(asked, dict) or not isinstance(asked.get("requirements"), str):
        raise AgentError("bad_request", "stdin: expected an object with requirements")
    return asked


def find_files(pod: Pod, asked: Json) -> None:
    """Have pip and uv find what is installed from the code: they put in what the lists leave out.

    Raises:
        AgentError: the code is not there, or lacks one of the files.
    """
    code = asked.get("code")
    if not asked.get("files"):
        return
    check_digest(code)
    tree = pod.root / "code" / str(code)
    missing = [name for name in asked["files"] if not (tree / name).is_file()]
    if missing:
        raise AgentError("environment", f"code {code}: no such file: {missing[0]}")
    os.environ["MOOLA_CODE"] = tree.as_uri()


def find_credentials(asked: Json, credentials: Dict[str, str]) -> None:
    """Have pip and uv find what names in the lists stand for; it is stored nowhere.

    Raises:
        AgentError: a name has no value, neither of the laptop nor of the pod.
    """
    values = {name: VARIABLE.sub(of_pod, value) for name, value in credentials.items()}
    os.environ.update(values)
    lists = [asked.get(key) or "" for key in ("requirements", "constraints", "without_torch")]
    lines = [line for text in lists for line in text.splitlines()]
    named = [VARIABLE.findall(line.partition(" #")[0]) for line in lines if line[:1] != "#"]
    for text in [*values.values(), *("${%s}" % name for names in named for name in names)]:
        for name in VARIABLE.findall(VARIABLE.sub(of_pod, text)):
            what = f"${{{name}}} in the list of packages: set neither here nor on the pod"
            raise AgentError("environment", f"{what}, expected its value; export {name}=... here")


def of_pod(found: Match[str]) -> str:
    """Return the value that a name in a list has on the pod, or what stands there."""
    return os.environ.get(found[1]) or found[0]


def install_only_here() -> None:
    """Undo what rc files or pip.conf say of where packages go: into the environment alone."""
    for name in ELSEWHERE:
        os.environ.pop(name, None)
    os.environ.update(dict.fromkeys(SWITCHED_OFF, "0"))


def make_environment(folder: Path, python: str, base: Json) -> None:
    """Make it empty, with the base's packages in sight; the base may itself be an environment."""
    say(f"making env/{folder.name} over Python {base['version']}")
    run_quietly([python, "-m", "venv", "--without-pip", str(folder)])
    packages = ask_python(str(folder / "bin" / "python"), DESCRIBE_BASE)["paths"][0]
    # As plain paths: what the base has installed in editable form stays out of sight.
    Path(packages, "_base.pth").write_text("\n".join(base["paths"]) + "\n", encoding="utf-8")


def ask_python(python: str, program: str) -> Any:
    return json.loads(run_quietly([python, "-c", program]).splitlines()[-1])
