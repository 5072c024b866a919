"""A refusal: a code for programs, a line for people; and lines for the log of a supervisor."""

from __future__ import annotations

import contextlib
import sys
from typing import Any


class AgentError(Exception):
    """An error for the caller: a code for programs, a line for people, perhaps more keys."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = {"ok": False, "error": code, "message": message, **more}


def report(line: str) -> None:
    """Print a line to stderr; where its disk is full, or nobody reads it, the line is lost.

    Whatever is reported may have the same cause, and must not end who reports it.
    """
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
