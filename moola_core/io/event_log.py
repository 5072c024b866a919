"""``events.jsonl``: a JSON object a line, appended with one write each; keys: docs/protocol.md."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from moola_core.io.json_file import SCHEMA, to_json


class EventLog:
    """Appends events to one file; each line is there whole or not at all.

    Attributes:
        had_epochs: whether it had epochs when it was opened: a run that is resumed in place.
    """

    def __init__(self, path: Path) -> None:
        self.had_epochs = path.is_file() and b'"kind": "epoch"' in path.read_bytes()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, kind: str, **keys: Any) -> None:
        """Append one event with the time of now."""
        event = {"schema": SCHEMA, "t": time.time(), "kind": kind, **keys}
        os.write(self._descriptor, (to_json(event) + "\n").encode())

    def close(self) -> None:
        """Give the file back."""
        os.close(self._descriptor)
