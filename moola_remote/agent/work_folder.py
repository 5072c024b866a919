"""The folder in which a job starts that writes beside its code: the code, and its outputs apart."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any, List

from moola_remote.agent.errors import AgentError
from moola_remote.agent.layout import Run

# No part of a result: what is in it are links.
NAME = ".work"
MAX_OUTPUTS = 50
# Files of a run that are ours.
RESERVED = {"log", "events.jsonl", "spec.json", "state.json", "manifest.json", "log.times"}


def check_outputs(outputs: Any) -> None:
    """Refuse what can't be the names of folders below a run's."""
    is_list = isinstance(outputs, list) and len(outputs) <= MAX_OUTPUTS
    for name in outputs if is_list else [None]:
        is_name = isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name)
        if not is_name or name in RESERVED:
            raise AgentError("bad_request", f"spec: outputs: expected names of folders, got {name}")


def make_work_folder(run: Run, code: Path, outputs: List[str]) -> Path:
    """Make the folder that a job starts in.

    It has a link for each entry of the code, which other runs share, and for each of `outputs` one
    to a folder of this run's own: what the job writes there is fetched with the run.
    """
    folder = run.path / NAME
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in outputs:
        (run.path / name).mkdir(mode=0o700, exist_ok=True)
        link(folder / name, Path("..", name))
    for entry in code.iterdir():
        if entry.name not in outputs:
            link(folder / entry.name, entry)
    return folder


def link(path: Path, target: Path) -> None:
    """Link, where it was not done before."""
    with contextlib.suppress(FileExistsError):
        path.symlink_to(target)
