"""Work in a copy of this process, on another core, and what it sends back.

A copy has all that this process has imported and read, at once. Where a GPU is in use, or several
threads, a copy would not work: then there is none, and the caller does everything itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from jobs.common.memory import lack_of_memory
from moola_core.errors import JobError, ProcessesError

Send = Callable[[Any], None]
MAX_WAIT_S = 60.0  # for a copy that was asked to end; it writes a checkpoint first


def can_fork(device: torch.device, threads: int) -> bool:
    """Return whether a copy of this process may compute, and there is a core for it."""
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        return False
    # Ray's workers have threads of their own, and share the cores among trials.
    return device.type == "cpu" and threads == 1 and not torch.cuda.is_available() and not _in_ray()


def _in_ray() -> bool:
    return "ray" in sys.modules


class Forked:
    """A copy of this process that does some work; it ends with it, or with this process.

    Args:
        work: what it does, given a function that sends a message to this process.
        name: of the work, for an error.
    """

    def __init__(self, work: Callable[[Send], None], name: str) -> None:
        self.name, self.is_done = name, False
        context = multiprocessing.get_context("fork")
        self._inbox, outbox = context.Pipe(duplex=False)
        self._process = context.Process(target=_do, args=(work, outbox, os.getpid()), daemon=True)
        with warnings.catch_warnings():
            # Threads of libraries that have their own handlers for a fork (OpenBLAS, Arrow).
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        outbox.close()

    def messages(self, seconds: float = 0.0) -> Iterator[Any]:
        """Yield what has come; wait for the first at most so long.

        Raises:
            ProcessesError: the process was ended from outside.
            Exception: whatever its work raised.
        """
        while not self.is_done and self._inbox.poll(seconds):
            seconds = 0.0
            try:
                kind, what = self._inbox.recv()
            except EOFError:
                self.is_done = True
                self._process.join()
                raise ProcessesError(
                    f"the process for {self.name}: ended by signal {-(self._process.exitcode or 0)}"
                    " or for want of memory; resume from the last checkpoint"
                ) from None
            if kind == "message":
                yield what
                continue
            self.is_done = True
            self._process.join()
            if what is not None:
                raise what

    def ask_to_end(self) -> None:
        """Send it a SIGTERM."""
        if self._process.is_alive():
            self._process.terminate()

    def end(self) -> None:
        """End it, where it has not ended; what it still sends is lost."""
        self.ask_to_end()
        # A full pipe would hold it up.
        with suppress(Exception):
            while not self.is_done:
                if not self._inbox.poll(MAX_WAIT_S):
                    break
                self._inbox.recv()
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._inbox.close()


def _do(work: Callable[[Send], None], outbox: Any, parent: int) -> None:
    """Work in the new process, and send how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both

    def send(what: Any) -> None:
        _put(outbox, ("message", what), parent)

    try:
        work(send)
    except JobError as err:
        _put(outbox, ("end", err), parent)
    except Exception as err:  # noqa: BLE001 - raised again in the process that waits
        lacks = lack_of_memory(err)
        raised = RuntimeError(traceback.format_exc()) if lacks is None else MemoryError(lacks)
        _put(outbox, ("end", raised), parent)
    else:
        _put(outbox, ("end", None), parent)


def _put(outbox: Any, what: Any, parent: int) -> None:
    leave_orphan(parent)
    try:
        outbox.send(what)
    except BrokenPipeError:
        os._exit(1)


def leave_orphan(parent: int) -> None:
    """End this process if it is a copy whose `parent`, a process id, is gone."""
    if os.getppid() != parent:
        os._exit(1)


@contextmanager
def beside(work: Callable[[], None], name: str, *, is_forked: bool) -> Iterator[None]:
    """Do `work` in a copy while the block runs, or before it where there is none.

    Raises:
        Exception: what `work` raised, after the block.
    """
    if not is_forked:
        work()
        yield
        return
    forked = Forked(lambda _: work(), name)
    try:
        yield
        while not forked.is_done:
            for _ in forked.messages(1.0):
                pass
    finally:
        forked.end()
