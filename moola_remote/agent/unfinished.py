"""The runs that have not ended, found without reading the state of those that have.

``runs/.ended`` has a line "id inode" a run that was seen to have ended, which never changes. It is
an index alone: what it lacks is read and added (by two readers at once, twice), and a folder of
another inode is not the same run.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Dict, List, Tuple

from moola_remote.agent.constants import ENDED, Json
from moola_remote.agent.files import append, open_file
from moola_remote.agent.layout import Pod, Run, stored_state


def unfinished(pod: Pod) -> List[Tuple[Run, Json]]:
    """Return each run that has not ended, with its stored state; of unreadable ones nothing."""
    known = read_index(pod)
    found, fresh = [], []
    with contextlib.suppress(FileNotFoundError), os.scandir(pod.runs) as entries:
        for entry in entries:
            inode = str(entry.inode())
            if entry.name.startswith(".") or known.get(entry.name) == inode:
                continue
            state = stored_state(Path(entry.path))
            if state is None:
                continue
            if state["state"] not in ENDED:
                found.append((Run(Path(entry.path)), state))
            elif entry.name not in known:
                fresh.append(f"{entry.name} {inode}\n")
    if fresh:
        with contextlib.suppress(OSError):  # a full disk costs the index, nothing else
            append(index_path(pod), "".join(fresh))
    return found


def index_path(pod: Pod) -> Path:
    return pod.runs / ".ended"


def read_index(pod: Pod) -> Dict[str, str]:
    """Return the inode of each run that is known to have ended."""
    try:
        with os.fdopen(open_file(index_path(pod)), "r", encoding="ascii", errors="replace") as file:
            lines = file.read().split("\n")[:-1]  # the last one has no end if it was cut
    except OSError:
        return {}
    pairs = (line.split(" ") for line in lines)
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def forget(pod: Pod, run_id: str) -> None:
    """Take a run out of the index, before a new one has its name; the caller holds the queue."""
    known = read_index(pod)
    if run_id in known:
        del known[run_id]
        rewrite(pod, known)


def tidy(pod: Pod) -> None:
    """Take out of the index what is not on the pod any more; the caller holds the queue."""
    known = read_index(pod)
    there = {name: inode for name, inode in known.items() if (pod.runs / name).is_dir()}
    if len(there) < len(known):
        rewrite(pod, there)


def rewrite(pod: Pod, known: Dict[str, str]) -> None:
    path = index_path(pod)
    aside = path.with_name(f".ended.{os.getpid()}.aside")
    with contextlib.suppress(OSError):
        aside.write_text("".join(f"{name} {inode}\n" for name, inode in known.items()))
        aside.replace(path)
        return
    with contextlib.suppress(OSError):  # no index is as good as a whole one
        path.unlink()
