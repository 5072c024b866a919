"""How a job ends: what it can't do is one line on stderr, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from moola_core.errors import JobError


def exit_code_of(work: Callable[[], int | None]) -> int:
    """Run `work`; return its exit code (None is 0), or that of the error that it raised."""
    try:
        return work() or 0
    except JobError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
