"""``events.jsonl``: a JSON object a line, appended with one write each; keys: docs/protocol.md."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

SCHEMA = 1


class EventLog:
    """Appends events to one file; each line is there whole or not at all.

    Attributes:
        had_epochs: whether it told of epochs when it was opened: a run that goes on in place.
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


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON that any reader takes: what is not a finite number becomes null."""
    return json.dumps(_without_nan(value), indent=indent, allow_nan=False)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace `path` by `value` with the schema's number, at once or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(to_json({"schema": SCHEMA, **value}, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
