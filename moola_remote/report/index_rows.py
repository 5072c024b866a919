"""The rows of the list of runs, remembered, so that one run more does not read all others again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import msgspec

from moola_remote import __version__
from moola_remote.files import atomic

PAGE, INDEX, MEMORY = "report.html", "index.html", ".index.json"
# A run's row is made of these, and of whether there is a page.
FILES = ("spec.json", "state.json", "result.json", "config.yaml", PAGE)
# To be raised with each change of a row's content.
FORMAT = f"2 {__version__}"


class Row(msgspec.Struct, frozen=True):
    """One run as HTML of its cells: what it is, the scores that it has by name, what it took."""

    facts: str
    scores: dict[str, str]
    costs: str


class RowMemory:
    """The rows of a folder's runs, each as long as its files stay as they are.

    Args:
        path: where they are kept; a broken one counts as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        self._is_changed = False
        with contextlib.suppress(OSError, ValueError, RecursionError):
            known = json.loads(path.read_bytes())
            if isinstance(known, dict) and known.get("format") == FORMAT:
                self._known = dict(known["rows"])

    def knows(self, folder: Path) -> bool:
        """Return whether the row of the run in `folder` is known, and nothing of it has changed."""
        known = self._known.get(folder.name)
        return isinstance(known, dict) and known.get("signature") == _signatures(folder)

    def row(self, folder: Path, make: Callable[[Path], Row]) -> Row:
        """Return the row of the run in `folder`; call `make` if it is unknown or has changed."""
        signature = _signatures(folder)
        known = self._known.get(folder.name)
        if isinstance(known, dict) and known.get("signature") == signature:
            with contextlib.suppress(msgspec.ValidationError):
                return msgspec.convert(known, Row)
        row = make(folder)
        self._known[folder.name] = {"signature": signature, **msgspec.structs.asdict(row)}
        self._is_changed = True
        return row

    def save(self, there: Collection[str]) -> None:
        """Keep the rows of the runs that are `there`; a full disk costs the memory alone."""
        kept = {name: row for name, row in self._known.items() if name in there}
        if self._is_changed or len(kept) < len(self._known):
            with contextlib.suppress(OSError):
                atomic.write(self._path, json.dumps({"format": FORMAT, "rows": kept}), sync=False)


def is_listed(folder: Path, *, since_ns: int) -> bool:
    """Return whether a run's page and the list of all are as this version wrote them last.

    Args:
        folder: of the run.
        since_ns: when the last of its files was changed that the list does not show, as a ctime.
    """
    try:
        pages = [(folder / PAGE).stat(), (folder.parent / INDEX).stat()]
    except OSError:
        return False
    is_newer = min(page.st_ctime_ns for page in pages) > since_ns
    return is_newer and RowMemory(folder.parent / MEMORY).knows(folder)


def _signatures(folder: Path) -> list[list[int]]:
    return [_signature(f"{folder}/{name}") for name in FILES]


def _signature(path: str) -> list[int]:
    """Return what changes with a file; empty where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return []
    return [found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino]
