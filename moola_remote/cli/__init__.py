"""The command line: one module a group of commands; a command parses, calls one function, prints.

Only click is imported at start; what a command needs is imported when it runs.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the program ``moola-remote``; whatever happens ends in an exit code of errors.py.

    Args:
        args: the words after the program's name; None takes those it was called with.
    """
    gc.disable()  # what is imported is no garbage: a twentieth of --help; `run` enables it again
    try:
        from moola_remote.cli.error_handler import run

        code = run(args)
    except KeyboardInterrupt:  # while modules are imported; `run` reports every later one
        code = 130
    sys.exit(code)
