"""The command line: one module a group of commands; a command parses, calls one function, prints.

Only click is imported at start; what a command needs is imported when it runs.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the program ``moola-remote``; whatever happens ends in an exit code of errors.py.

    Args:
        args: the words after the program's name; None takes those it was called with.
    """
    if args is None:
        _start_in_utf8()
    gc.disable()  # what is imported is no garbage: a twentieth of --help; `run` enables it again
    try:
        from moola_remote.cli.error_handler import run

        code = run(args)
    except KeyboardInterrupt:  # while modules are imported; `run` reports every later one
        code = 130
    if args is None:
        _leave(code)
    sys.exit(code)


def _start_in_utf8() -> None:
    """Start anew where the locale has file names in another encoding: a pod has them in UTF-8."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _leave(code: int) -> None:
    """End the process as Python would, without taking all modules apart: a sixth of a command.

    Returns where that is not to be cut short: a thread is at work, a profiler will want its say,
    or stdout can't be written.
    """
    if sys.getprofile() or sys.gettrace():
        return
    threading = sys.modules.get("threading")
    threads = threading.enumerate() if threading else []
    if sum(not thread.daemon for thread in threads) > 1:
        return
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:  # noqa: BLE001 - Python reports it
        return
    os._exit(code)
