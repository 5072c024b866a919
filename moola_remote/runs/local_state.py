"""What this laptop notes of a run, beside its journal.

spec.json       what was asked for
seen.json       when it was looked at last, and how it stood
state.json      how it stood then, as the pod reported it; of a run that has a price
on_finish.json  a command to run here once it has ended; renamed before it is run
on_finish.copy.json  the same once more, for the day when that is damaged
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moola_remote.config.paths import LaptopPaths
from moola_remote.config.typed import plain
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable
from moola_remote.pods.pod import Pod
from moola_remote.protocol.state import ENDED, RunState

logger = logging.getLogger(__name__)
BULK = ("log", "events.jsonl", "offsets")
# A shorter absence is none.
AWAY_S = 60.0


@dataclass(frozen=True)
class LastSeen:
    """How a run stood when this laptop looked at it last; `at` is the laptop's clock."""

    at: float
    state: str


@dataclass(frozen=True)
class Hook:
    """A command of the user's for the end of a run, and the folder where it is run."""

    command: str
    folder: str


def notes_of(pod: Pod, run_id: str) -> LocalRun:
    """Return what this laptop has noted of a run on `pod`."""
    return LocalRun(pod.laptop.journal(pod.name, run_id))


def pods_with(laptop: LaptopPaths, name: str) -> list[str]:
    """Return the pods on which this laptop knows a run whose id begins with `name`."""
    found = laptop.journals.glob("*/[!.]*") if name else ()
    return sorted({path.parent.name for path in found if path.name.startswith(name)})


def was_away(notes: LocalRun, run: RunState) -> bool:
    """Return whether a run may have news since this laptop looked at it last."""
    since = notes.seen
    if since is None or time.time() - since.at < AWAY_S:
        return False
    return since.state != run.state or not run.has_ended


class LocalRun:
    """The notes on one run; they stay when its journal is dropped.

    Args:
        folder: the journal's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = folder / "spec.json"

    def keep_spec(self, spec: Mapping[str, Any]) -> None:
        """Note what is about to be asked of a pod."""
        self._write("spec.json", spec)

    @property
    def seen(self) -> LastSeen | None:
        """When it was looked at last, or None."""
        table = self._read("seen.json")
        try:
            return LastSeen(float(table["at"]), str(table["state"]))
        except (KeyError, TypeError, ValueError):
            return None

    def see(self, seen: LastSeen) -> None:
        """Note that it was looked at; a note that a power cut takes is one look less."""
        self._write("seen.json", asdict(seen), sync=False)

    def keep_state(self, state: RunState) -> None:
        """Note what a run that is paid for has done so far."""
        if state.price_per_hour:
            table = {key: value for key, value in plain(state).items() if key != "last_lines"}
            self._write("state.json", table)

    def keep_hook(self, hook: Hook) -> None:
        """Note a command for its end."""
        self._write("on_finish.copy.json", asdict(hook))
        self._write("on_finish.json", asdict(hook))

    @property
    def has_hook(self) -> bool:
        """Whether a command still waits for its end."""
        return (self.folder / "on_finish.json").exists()

    def take_hook(self) -> Hook | None:
        """Return the command for its end, once: the process that renames the file has it."""
        taken = self.folder / "on_finish.taken.json"
        try:
            (self.folder / "on_finish.json").rename(taken)
        except OSError:
            return None
        tables = [self._read(taken.name), self._read("on_finish.copy.json")]
        with contextlib.suppress(OSError):
            (self.folder / "on_finish.copy.json").unlink()
        for table in tables:
            if isinstance(table.get("command"), str) and isinstance(table.get("folder"), str):
                return Hook(table["command"], table["folder"])
        logger.warning("note: %s: damaged, the command for the end of the run is not run", taken)
        return None

    def _read(self, name: str) -> dict[str, Any]:
        try:
            table = json.loads((self.folder / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return table if isinstance(table, dict) else {}

    def _write(self, name: str, value: Mapping[str, Any], *, sync: bool = True) -> None:
        path = self.folder / name
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            atomic.write(path, json.dumps(value), sync=sync)
        except OSError as err:
            raise unwritable(path, err) from err

    @property
    def bulk(self) -> int:
        """Bytes of its journal."""
        return sum(path.stat().st_size for path in self._bulk())

    def drop_journal(self) -> None:
        """Forget its log and events; they come again from the pod when they are asked for."""
        for path in self._bulk():
            path.unlink(missing_ok=True)

    def _bulk(self) -> Iterator[Path]:
        return (self.folder / name for name in BULK if (self.folder / name).is_file())


def waiting_for(journals: Path) -> list[str]:
    """Return the runs of a pod, by its folder of journals, for whose end a command waits here."""
    return sorted(path.parent.name for path in journals.glob("*/on_finish.json"))


def thin_out(journals: Path, limit: int, keep: Path) -> list[LocalRun]:
    """Drop journals of ended runs, the oldest first, until all together are below a limit.

    Args:
        journals: the laptop's folder of them.
        limit: bytes.
        keep: the folder of one that is wanted now.

    Returns:
        Whose journals were dropped. A run that isn't known to have ended keeps its own.
    """
    all_notes = [LocalRun(path) for path in journals.glob("*/*") if path.is_dir()]
    sizes = {notes: notes.bulk for notes in all_notes}
    total, dropped = sum(sizes.values()), []
    for notes in sorted(all_notes, key=lambda notes: notes.folder.name):
        if total <= limit:
            break
        seen = notes.seen
        if sizes[notes] and notes.folder != keep and seen and seen.state in ENDED:
            notes.drop_journal()
            total -= sizes[notes]
            dropped.append(notes)
    return dropped
