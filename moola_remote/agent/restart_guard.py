"""The guard's process: started where it is missing, by whichever verb or supervisor notices."""

from __future__ import annotations

import contextlib
import os
import sys

from moola_remote.agent.layout import Pod
from moola_remote.agent.locks import is_locked
from moola_remote.agent.processes import adopt_orphans, adopts_orphans

WATCH = "--watch"


def ensure_guard(pod: Pod) -> None:
    """Start the guard of a pod that was given one and has none; a failure costs the caller nothing.

    Out of memory or killed, it comes back with the next verb, or the next heartbeat of a run.
    """
    with contextlib.suppress(Exception):
        if (pod.root / "guard.json").exists() and not is_locked(pod.root / "guard.lock"):
            spawn_guard(pod)


def spawn_guard(pod: Pod) -> None:
    """Start a process of its own, which takes ``guard.lock``; a second one leaves at once.

    It is no child of ours and has no run's mark: whatever ends a run's processes spares it.
    """
    # As a subreaper, a supervisor would inherit it, and end it with the run.
    is_reaper = adopts_orphans()
    if is_reaper:
        adopt_orphans(False)
    try:
        child = os.fork()
        if child == 0:
            become_guard(pod)
        os.waitpid(child, 0)
    finally:
        if is_reaper:
            adopt_orphans()


def become_guard(pod: Pod) -> None:
    """Turn a fork of this process into the guard."""
    try:
        os.setsid()
        if os.fork() == 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            for target in (0, 1, 2):
                os.dup2(nothing, target)
            os.chdir("/")
            env = {name: value for name, value in os.environ.items() if name != "MOOLA_RUN_ID"}
            program = os.path.realpath(sys.argv[0])
            argv = [sys.executable, "-ISB", program, "--root", str(pod.root), "guard", WATCH]
            os.execve(sys.executable, argv, env)
    finally:
        os._exit(0)
