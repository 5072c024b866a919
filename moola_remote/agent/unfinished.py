"""The runs of a pod at a glance: the state of those that have ended is not read again.

``runs/.ended`` has a line "id inode ticket" a run that was seen to have ended, which never changes.
It is an index alone: what it lacks is read and added (by two readers at once, twice), and a folder
of another inode is not the same run.

``runs/.tickets`` has, beside the last ticket, the ids that had not ended when it was given away, so
that a start costs the same whatever has ended before. Each start writes the whole file; that of an
older agent leaves the ids out, and the folders are looked through again.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

from moola_remote.agent.constants import ENDED, Json
from moola_remote.agent.files import append, open_file, read_json, write_json
from moola_remote.agent.layout import RUN_ID, Pod, Run, stored_state

# More names than this are not noted in `.tickets`: a pod with as many at once looks through all.
MOST_NOTED = 1000


class Survey(NamedTuple):
    """Every run of a pod: the stored state of the unfinished, the ticket of the ended."""

    unfinished: List[Tuple[Run, Json]]
    ended: Dict[str, int]
    unreadable: List[str]


def unfinished(pod: Pod) -> List[Tuple[Run, Json]]:
    """Return each run that has not ended, with its stored state; of unreadable ones nothing."""
    names = noted(read_json(tickets_path(pod)) or {})
    if names is None:
        return survey(pod).unfinished
    stored = ((Run(pod.runs / name), stored_state(pod.runs / name)) for name in names)
    return [(run, state) for run, state in stored if state and state["state"] not in ENDED]


def next_ticket(pod: Pod, run_id: str) -> int:
    """Return a number that grows with each run: the order of the queue, whatever the clock says.

    The caller holds the queue, makes the folder of that run next, and flushes `runs` with both: a
    ticket whose run a power cut took is given away again.
    """
    tickets = read_json(tickets_path(pod)) or {}
    ticket = int(tickets.get("last") or 0) + 1
    names = [*not_ended(pod, noted(tickets)), run_id]
    found = {"unfinished": names} if len(names) <= MOST_NOTED else {}
    write_json(tickets_path(pod), {"last": ticket, **found}, folder=False)
    return ticket


def noted(tickets: Json) -> Optional[List[str]]:
    """Return the ids that were noted with the last ticket; None where they were not."""
    names = tickets.get("unfinished")
    if not isinstance(names, list):
        return None
    is_good = all(isinstance(name, str) and RUN_ID.fullmatch(name) for name in names)
    return names if is_good else None


def not_ended(pod: Pod, names: Optional[List[str]]) -> List[str]:
    """Return which runs of those names have not ended, as far as can be read; of all for None."""
    if names is None:
        known = survey(pod)
        found = [run.id for run, _ in known.unfinished]
        return [*found, *filter(RUN_ID.fullmatch, known.unreadable)]
    kept, fresh = [], []
    for name in names:
        state = stored_state(pod.runs / name)
        if state is not None and state["state"] in ENDED:
            with contextlib.suppress(FileNotFoundError):
                inode = (pod.runs / name).lstat().st_ino
                fresh.append(f"{name} {inode} {state.get('ticket') or 0}\n")
        elif state is not None or (pod.runs / name).is_dir():  # else its start was cut off
            kept.append(name)
    add_to_index(pod, fresh)
    return kept


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
    add_to_index(pod, fresh)
    return found


def add_to_index(pod: Pod, lines: List[str]) -> None:
    """Add what has ended; a full disk costs the index, nothing else."""
    if lines:
        with contextlib.suppress(OSError):
            append(index_path(pod), "".join(lines))


def tickets_path(pod: Pod) -> Path:
    return pod.runs / ".tickets"


def index_path(pod: Pod) -> Path:
    return pod.runs / ".ended"


def index_text(pod: Pod) -> str:
    """Return the index as it is stored; empty where there is none."""
    try:
        with os.fdopen(open_file(index_path(pod)), "r", encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def read_index(pod: Pod) -> Dict[str, Tuple[int, int]]:
    """Return inode and ticket of each run that is known to have ended."""
    lines = index_text(pod).split("\n")[:-1]  # the last one has no end if it was cut
    rows = [line.split(" ") for line in lines]
    with contextlib.suppress(ValueError):
        return {name: (int(inode), int(ticket)) for name, inode, ticket in rows}
    good = (row for row in rows if len(row) == 3 and row[1].isdigit() and row[2].isdigit())
    return {name: (int(inode), int(ticket)) for name, inode, ticket in good}


def forget(pod: Pod, run_id: str) -> None:
    """Take a run out of the index, before a new one has its name; the caller holds the queue."""
    if f"\n{run_id} " not in f"\n{index_text(pod)}":
        return
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
