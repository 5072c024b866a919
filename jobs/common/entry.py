"""How a job ends: what it can't do is one line on stderr, and an exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

from jobs.common.memory import lack_of_memory
from moola_core.errors import JobError

INTERRUPTED = 130  # as shells have it


def exit_code_of(work: Callable[[], int | None]) -> int:
    """Run `work`; return its exit code (None is 0), or that of the error that it raised."""
    try:
        return work() or 0
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as err:
        stopped = _exit_behind(err)
        if stopped is not None:
            return stopped
        reason = lack_of_memory(err)
        if reason is not None:
            cure = "free some, or give fewer bars or windows at once"
            print(f"error: out of memory, {reason}; {cure}", file=sys.stderr)
            return 1
        if not isinstance(err, JobError):
            raise
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code


def _exit_behind(err: BaseException | None) -> int | None:
    """Return the exit code of a SystemExit that `err` came of; None where there is none.

    SIGTERM raises one wherever the job is. Within a call of a compiled library it becomes that
    library's own error (a PydanticSerializationError, for example).
    """
    while err is not None:
        if isinstance(err, SystemExit) and isinstance(err.code, int):
            return err.code
        err = err.__cause__ or err.__context__
    return None


def leave(code: int) -> NoReturn:
    """End this process with everything written, at once.

    To take torch apart costs 0.66 CPU s, which a pod that waits for the end of a stop has to spend:
    twice, one after the other, where torchrun started the process.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Import torch and the like in the block, without looking for garbage in what they bring.

    All of it stays, and is not looked at later either: 0.4 CPU s of a start.
    """
    is_first = "torch" not in sys.modules and gc.isenabled()
    if is_first:
        gc.disable()
    try:
        yield
    finally:
        if is_first:
            gc.freeze()
            gc.enable()
