"""``events.jsonl``: a JSON object a line, appended with one write each; keys: docs/protocol.md."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from moola_core.io.json_file import SCHEMA, to_json


class Events(Protocol):
    """Where the events of a run go: its file, or what is kept of them for later."""

    @property
    def epochs(self) -> frozenset[int]:
        """The numbers of those that were there before: of a run that is resumed in place."""
        ...

    def write(self, kind: str, **keys: Any) -> None:
        """Take one event."""
        ...


class EventLog:
    """Appends events to one file; each line is there whole or not at all.

    Attributes:
        epochs: the numbers of those that it had when it was opened.
    """

    def __init__(self, path: Path) -> None:
        self.epochs = epochs_in(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, kind: str, **keys: Any) -> None:
        """Append one event with the time of now."""
        event = {"schema": SCHEMA, "t": time.time(), "kind": kind, **keys}
        os.write(self._descriptor, (to_json(event) + "\n").encode())

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)

    @property
    def had_epochs(self) -> bool:
        """Whether it had epochs when it was opened: a run that is resumed in place."""
        return bool(self.epochs)


def epochs_in(path: Path) -> frozenset[int]:
    """Return the numbers of the epochs in a file of events; none where there is no such file."""
    return frozenset(_epochs(path.read_bytes()) if path.is_file() else ())


def _epochs(lines: bytes) -> Iterator[int]:
    for line in lines.splitlines():
        if b'"kind": "epoch"' not in line:
            continue
        with contextlib.suppress(ValueError):
            epoch = json.loads(line).get("epoch")
            if isinstance(epoch, int):
                yield epoch
