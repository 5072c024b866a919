"""The runs of a pod at a glance: the state of those that have ended is not read again.

``runs/.ended`` has a line "id inode ticket" a run that was seen to have ended, which never changes.
It is an index alone: what it lacks is read and added (by two readers at once, twice), and a folder
of another inode is not the same run.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

from moola_remote.agent.constants import ENDED, Json
from moola_remote.agent.files import append, open_file
from moola_remote.agent.layout import Pod, Run, stored_state


class Survey(NamedTuple):
    """Every run of a pod: the stored state of the unfinished, the ticket of the ended."""

    unfinished: List[Tuple[Run, Json]]
    ended: Dict[str, int]
    unreadable: List[str]


def unfinished(pod: Pod) -> List[Tuple[Run, Json]]:
    """Return each run that has not ended, with its stored state; of unreadable ones nothing."""
    return survey(pod).unfinished


def survey(pod: Pod) -> Survey:
    """Return all runs."""
    known = read_index(pod)
    found, fresh = Survey([], {}, []), []
    with contextlib.suppress(FileNotFoundError), os.scandir(pod.runs) as entries:
        for entry in entries:
            name, inode = entry.name, entry.inode()
            if name.startswith("."):
                continue
            row = known.get(name)
            if row is not None and row[0] == inode:
                found.ended[name] = row[1]
                continue
            state = stored_state(Path(entry.path))
            if state is None:
                found.unreadable.append(name)
            elif state["state"] not in ENDED:
                found.unfinished.append((Run(Path(entry.path)), state))
            else:
                found.ended[name] = state.get("ticket") or 0
                if name not in known:
                    fresh.append(f"{name} {inode} {found.ended[name]}\n")
    if fresh:
        with contextlib.suppress(OSError):  # a full disk costs the index, nothing else
            append(index_path(pod), "".join(fresh))
    return found


def index_path(pod: Pod) -> Path:
    return pod.runs / ".ended"


def read_index(pod: Pod) -> Dict[str, Tuple[int, int]]:
    """Return inode and ticket of each run that is known to have ended."""
    try:
        with os.fdopen(open_file(index_path(pod)), "r", encoding="ascii", errors="replace") as file:
            lines = file.read().split("\n")[:-1]  # the last one has no end if it was cut
    except OSError:
        return {}
    rows = [line.split(" ") for line in lines]
    with contextlib.suppress(ValueError):
        return {name: (int(inode), int(ticket)) for name, inode, ticket in rows}
    good = (row for row in rows if len(row) == 3 and row[1].isdigit() and row[2].isdigit())
    return {name: (int(inode), int(ticket)) for name, inode, ticket in good}


def forget(pod: Pod, run_id: str) -> None:
    """Take a run out of the index, before a new one has its name; the caller holds the queue."""
    known = read_index(pod)
    if run_id in known:
        del known[run_id]
        rewrite(pod, known)


def tidy(pod: Pod) -> None:
    """Take out of the index what is not on the pod any more; the caller holds the queue."""
    known = read_index(pod)
    there = {name: row for name, row in known.items() if (pod.runs / name).is_dir()}
    if len(there) < len(known):
        rewrite(pod, there)


def rewrite(pod: Pod, known: Dict[str, Tuple[int, int]]) -> None:
    path = index_path(pod)
    aside = path.with_name(f".ended.{os.getpid()}.aside")
    with contextlib.suppress(OSError):
        aside.write_text("".join(f"{name} {inode} {at}\n" for name, (inode, at) in known.items()))
        aside.replace(path)
        return
    with contextlib.suppress(OSError):  # no index is as good as a whole one
        path.unlink()
