"""An environment that is there already: looked for by ``probe``, and before one is made."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any, List, Optional

from moola_remote.agent.constants import Json
from moola_remote.agent.files import read_json
from moola_remote.agent.layout import Pod
from moola_remote.agent.lazy import hashlib, subprocess
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


class Look:
    """A look for one environment, while other questions are answered."""

    def __init__(self, pod: Pod, version: str, lists: Optional[str]) -> None:
        """Begin it.

        Args:
            pod: where it may be.
            version: of the Python that it is over.
            lists: of its packages; None: nothing is looked for.
        """
        # As the laptop names it (`Dependencies.digest`).
        self.digest = hashlib.sha256(f"{version}\0{lists}".encode()).hexdigest()[:16]
        self.pod = pod
        self.child: Optional[subprocess.Popen[bytes]] = None
        if lists is not None and marker_of(pod.root / "env" / self.digest).exists():
            argv = [sys.executable, "-c", DESCRIBE_BASE]
            nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
            with contextlib.suppress(OSError):
                self.child = subprocess.Popen(argv, stdin=nothing, stdout=pipe, stderr=nothing)

    def answer(self, gpus: List[str]) -> Optional[Json]:
        """Return what is known of it; None where it isn't there, or is to be made again."""
        if self.child is None:
            return None
        lines = self.child.communicate()[0].splitlines()
        base = None
        with contextlib.suppress(ValueError, IndexError):
            base = json.loads(lines[-1])
        return known_answer(self.pod, self.digest, base, gpus) if base else None
