"""The agent's own byte code: of a program in a zip Python keeps none, and compiles it each time.

It is a second zip, in the pod's cache, in which each module is looked for first (`START` in
agent_client/program.py). Without it, or where it can't be read, everything is in the first one.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
from pathlib import Path
from typing import Dict

from moola_remote.agent.lazy import zipfile

# Read as it is by waiting.py.
AS_SOURCE = "moola_remote/agent/sleeper.py"


def keep_bytecode(root: Path) -> None:
    """Compile this program for this Python, unless that was done; a failure costs the next call.

    Args:
        root: of the pod. A program that lies elsewhere is compiled by others.
    """
    program, kept = os.path.abspath(sys.argv[0]), sys.path[0]  # noqa: PTH100 - a path's own text
    is_ours = program == str(root / "agent" / os.path.basename(program))  # noqa: PTH119
    if not is_ours or not __file__.endswith(".py"):
        return
    with contextlib.suppress(Exception):
        if os.path.exists(kept) and zipfile.is_zipfile(kept):  # noqa: PTH110 - another call's
            return
        write_once(Path(kept), compile_all(program))


def compile_all(program: str) -> Dict[str, bytes]:
    """Return the files of the second zip by name."""
    magic: bytes = __import__("importlib.util").util.MAGIC_NUMBER
    found = {}
    with zipfile.ZipFile(program) as archive:
        for name in archive.namelist():
            source = archive.read(name)
            if name == AS_SOURCE:
                found[name] = source
            elif name.startswith("moola_remote/") and name.endswith(".py"):
                code = compile(source, f"{program}/{name}", "exec", dont_inherit=True)
                # Without a source beside it no time is compared.
                found[f"{name}c"] = magic + bytes(12) + marshal.dumps(code)
    return found


def write_once(path: Path, files: Dict[str, bytes]) -> None:
    """Write a zip that appears whole, and is not replaced: another call may be reading it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        with aside.open("wb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():  # no zip
            path.unlink()
        os.link(aside, path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()
