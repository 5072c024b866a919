"""``on_finish``: a command of the user's on this laptop, once a run has ended.

It is kept beside the run's journal before the run is asked for, and runs at the first contact after
the end, by whichever command that is: once, since the first to rename the file has it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from moola_remote.protocol.state import RunState
from moola_remote.runs.local_state import Hook, LocalRun


def run_hook(notes: LocalRun, state: RunState, say: Callable[[str], None]) -> None:
    """Run the command that waits for the end of a run, if it has ended; report its failure."""
    hook = notes.take_hook() if state.has_ended and notes.has_hook else None
    if hook is None:
        return
    say(f"on_finish: {hook.command}")
    code = _run(hook, state)
    if code != 0:
        say(f"on_finish: exit code {code}, the run is {state.state} all the same")


def _run(hook: Hook, state: RunState) -> int:
    # stdout is the answer of whichever command this is.
    done = subprocess.run(
        ["sh", "-c", hook.command],
        cwd=hook.folder if Path(hook.folder).is_dir() else None,
        env={**os.environ, "MOOLA_RUN_ID": state.run_id, "MOOLA_STATE": state.state},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        check=False,
    )
    return done.returncode
