"""The program: errors become one JSON line."""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import json
import os
import sys
from typing import List

from moola_remote.agent.cli import answer, parse
from moola_remote.agent.compiled import keep_bytecode
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import words_of


def main(argv: List[str]) -> int:
    """Run one verb; return the exit code."""
    os.umask(0o077)
    gc.set_threshold(20_000)  # what is imported and parsed is no garbage
    try:
        call = parse(argv)
        said = answer(call)
    except AgentError as err:
        print(json.dumps(err.answer), flush=True)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as err:
        code = "disk_full" if err.errno in (errno.ENOSPC, errno.EDQUOT) else "io"
        print(
            json.dumps({"ok": False, "error": code, "message": f"pod: {words_of(err)}"}), flush=True
        )
        return 1
    if said is not None:
        print(json.dumps({"ok": True, **said}), flush=True)
        keep_bytecode(call.root)
    return 0


def run(argv: List[str]) -> int:
    """Run one verb, and end: without taking all modules apart, unless a thread is at work."""
    code = main(argv)
    threading = sys.modules.get("threading")
    if threading is None or threading.active_count() == 1:
        with contextlib.suppress(OSError, ValueError):
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
