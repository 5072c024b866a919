"""An environment that is there already: looked for by ``probe``, and before one is made."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any, List, Optional

from moola_remote.agent.constants import Json
from moola_remote.agent.files import read_json
from moola_remote.agent.layout import Pod
from moola_remote.agent.lazy import hashlib
from moola_remote.agent.trees import reserve

DESCRIBE_BASE = """
import json, os, platform, site, sys
print(json.dumps({"python": os.path.realpath(sys.executable), "version": platform.python_version(),
  "prefix": sys.prefix, "paths": [p for p in site.getsitepackages() if os.path.isdir(p)]}))
"""


def marker_of(folder: Path) -> Path:
    """Return the file that is there when an environment is complete."""
    return folder.with_name(f"{folder.name}.json")


def is_over(folder: Path, base: Any) -> bool:
    """Return whether there is a whole environment over a Python that `DESCRIBE_BASE` describes."""
    known = read_json(marker_of(folder)) or {}
    return known.get("base") == base and (folder / "bin" / "python").exists()


def known_answer(pod: Pod, digest: str, base: Any, gpus: List[str]) -> Optional[Json]:
    """Return what is known of an environment; None where it isn't there, or the GPUs are others.

    It is reserved: the run that it is for is still to be started.
    """
    folder = pod.root / "env" / digest
    known = read_json(marker_of(folder)) or {}
    is_there = reserve(pod, "env", digest) and is_over(folder, base)
    return {**known["answer"], "created": False} if is_there and known.get("gpus") == gpus else None


def look(pod: Pod, version: str, lists: Optional[str], gpus: List[str]) -> Optional[Json]:
    """Return what is known of an environment over our own Python; None where it isn't there.

    Args:
        pod: where it may be.
        version: of the Python.
        lists: of its packages; None: nothing is looked for.
        gpus: names of those that are there.
    """
    # As the laptop names it (`Dependencies.digest`).
    digest = hashlib.sha256(f"{version}\0{lists}".encode()).hexdigest()[:16]
    if lists is None or not marker_of(pod.root / "env" / digest).exists():
        return None
    return known_answer(pod, digest, describe_base(version), gpus)


def describe_base(version: str) -> Json:
    """Return what `DESCRIBE_BASE` prints, without a second Python: a fifth of a deploy on the pod.

    We run without ``site``, which knows a virtual environment by its file and where packages are;
    it is asked without having it run what packages put there to be run. Where what that does
    changes the answer, an environment counts as unknown here, and as known a request later.
    """
    import site

    with contextlib.suppress(AttributeError):  # of a Python to come
        site.addsitepackages = lambda known_paths, prefixes=None: known_paths  # noqa: ARG005
        site.venv(set())
    paths = [path for path in site.getsitepackages() if os.path.isdir(path)]  # noqa: PTH112
    executable = os.path.realpath(sys.executable)
    return {"python": executable, "version": version, "prefix": sys.prefix, "paths": paths}
