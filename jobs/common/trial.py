"""One trial of a sweep in a process that does several."""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.common.signals import STOPPED
from moola_core.io.json_file import write_json

END, LOG = "end.json", "log"


def do_trial(job: str, words: list[str], folder: Path) -> tuple[int, float]:
    """Do one trial in this process; its end is written unless it was asked to stop.

    One that was begun before goes on from its checkpoint, or else starts over.

    Args:
        job: the module.
        words: of its command line.
        folder: of the trial.

    Returns:
        Its exit code, and its seconds.
    """
    main = importlib.import_module(job).main
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["MOOLA_RUN_DIR"] = str(folder)
    os.environ.pop("MOOLA_RESUME_DIR", None)  # of the whole run, which has no checkpoint
    if any(folder.glob("checkpoints/**/SHA256SUMS")):
        os.environ["MOOLA_RESUME_DIR"] = str(folder)
    else:
        (folder / "events.jsonl").unlink(missing_ok=True)
    began = time.monotonic()
    with _printing_to(folder / LOG):
        try:
            code = int(main(list(words)) or 0)
        except SystemExit as err:
            code = err.code if isinstance(err.code, int) else int(err.code is not None)
        except Exception:  # noqa: BLE001 - of that trial alone
            traceback.print_exc()
            code = 1
    seconds = time.monotonic() - began
    if code != STOPPED:
        write_json(folder / END, {"exit_code": code, "signal": None, "seconds": seconds})
    return code, seconds


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Send what this process and its libraries print to a file."""
    kept = {number: os.dup(number) for number in (1, 2)}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        for number in kept:
            os.dup2(descriptor, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, own in kept.items():
            os.dup2(own, number)
        for one in (*kept.values(), descriptor):
            os.close(one)
