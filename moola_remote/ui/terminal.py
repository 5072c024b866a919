"""Whether something may be drawn."""

from __future__ import annotations

import os
from typing import IO


def may_be_terminal(file: IO[str] | None) -> bool:
    """Return False where rich would find no terminal, without the import of rich."""
    if not {"FORCE_COLOR", "TTY_COMPATIBLE"}.isdisjoint(os.environ):
        return True
    try:
        return file is not None and file.isatty()
    except ValueError:  # it is closed
        return False
