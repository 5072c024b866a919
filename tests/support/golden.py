"""Texts that are kept as files. `make golden` writes them again; then read the diff."""

from __future__ import annotations

import os
from pathlib import Path


def kept(path: Path, text: str) -> str:
    """What the file at `path` holds; with ``MOOLA_UPDATE_GOLDEN`` set it gets `text` first."""
    if os.environ.get("MOOLA_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8")
