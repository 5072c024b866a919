"""How a job ends: what it can't do is one line on stderr, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from moola_core.errors import JobError


def exit_code_of(work: Callable[[], object]) -> int:
    """Do `work`; 0, or the exit code of the error that it told."""
    try:
        work()
    except JobError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    return 0
