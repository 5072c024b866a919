"""Several trials, one after another, in one warm process: its start is paid for once.

    python -m jobs.many jobs.train '[[3, ["--config", "configs/train/jade.yaml", "--seed", "1"]]]'

Each trial is what its job does with these words by itself, in ``trials/NUMBER`` of the run's folder
as its own: the same artifacts, to the byte. Beside them lie ``log``, what it printed, and, once it
has ended, ``end.json``: its exit code or signal, and its seconds.

A trial that takes the process with it fails alone: another process does the rest. What has ended is
not begun again. Exit code 0 where each trial has ended, whatever its own; 143 after SIGTERM.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from jobs.common.entry import exit_code_of, leave
from jobs.common.signals import STOPPED
from moola_core.errors import ConfigError, ProcessesError
from moola_core.io.json_file import write_json

END, LOG = "end.json", "log"
Trials = list[tuple[int, list[str]]]


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="jobs.many",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("job", help="the module of each trial, for example jobs.train")
    parser.add_argument("trials", help="JSON: a list of [number, [words]]")
    parser.add_argument(
        "--run-dir", default=os.environ.get("MOOLA_RUN_DIR"), help="default: $MOOLA_RUN_DIR"
    )
    parser.add_argument("--here", action="store_true", help="in this process, unguarded")
    arguments = parser.parse_args(words)
    work = _do_all if arguments.here else _guard
    return exit_code_of(lambda: work(arguments))


def _guard(arguments: argparse.Namespace) -> int:
    """Have a process do the trials; begin another one where a trial ended it."""
    run_dir, trials = _checked(arguments)
    workers: list[subprocess.Popen[bytes]] = []
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()
        for worker in workers[-1:]:
            worker.terminate()

    signal.signal(signal.SIGTERM, stop)
    while left := [one for one in trials if not (_folder(run_dir, one[0]) / END).exists()]:
        words = ["--here", "--run-dir", str(run_dir), arguments.job, json.dumps(left)]
        worker = subprocess.Popen([sys.executable, "-m", "jobs.many", *words])
        workers.append(worker)
        if stopped.is_set():  # before it was one of them
            worker.terminate()
        code = worker.wait()
        if stopped.is_set() or code == STOPPED:
            return STOPPED
        if code != 0:
            _record_death(run_dir, left, code)
    return 0


def _record_death(run_dir: Path, left: Trials, code: int) -> None:
    """Write the end of the trial in which the process died.

    Raises:
        ProcessesError: it died in none.
    """
    for number, _ in left:
        folder = _folder(run_dir, number)
        if (folder / LOG).exists() and not (folder / END).exists():
            killer = signal.Signals(-code).name if code < 0 else None
            how = f"ended by {killer}" if killer else f"its process ended with exit code {code}"
            write_json(folder / END, {"exit_code": None if killer else code, "signal": killer})
            print(f"trial {number}: {how}", flush=True)
            return
    raise ProcessesError(f"the process for trials ended with {code} before it began one")


def _do_all(arguments: argparse.Namespace) -> int:
    """Do the trials in this process; 143 where it was asked to stop."""
    run_dir, trials = _checked(arguments)
    for number, words in trials:
        code, seconds = do_trial(arguments.job, words, _folder(run_dir, number))
        if code == STOPPED:
            return STOPPED
        how = "done" if code == 0 else f"failed with exit code {code}"
        print(f"trial {number}: {how}, {seconds:.1f} s", flush=True)
    return 0


def do_trial(
    job: str, words: list[str], folder: Path, *, is_resumed: bool = False
) -> tuple[int, float]:
    """Do one trial in this process; its end is written unless it was asked to stop.

    Args:
        job: the module.
        words: of its command line.
        folder: of the trial.
        is_resumed: go on from the checkpoint that is in the folder.

    Returns:
        Its exit code, and its seconds.
    """
    main = importlib.import_module(job).main
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["MOOLA_RUN_DIR"] = str(folder)
    os.environ.pop("MOOLA_RESUME_DIR", None)  # of the whole run, which has no checkpoint
    if is_resumed:
        os.environ["MOOLA_RESUME_DIR"] = str(folder)
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


def _folder(run_dir: Path, number: int) -> Path:
    """Return a trial's folder."""
    return run_dir / "trials" / str(number)


def _checked(arguments: argparse.Namespace) -> tuple[Path, Trials]:
    """Return the run's folder and the trials.

    Raises:
        ConfigError: one is not as it should be.
    """
    if not arguments.run_dir:
        raise ConfigError("run folder: not given, expected --run-dir or MOOLA_RUN_DIR")
    try:
        trials = json.loads(arguments.trials)
        checked = [(int(number), [str(word) for word in words]) for number, words in trials]
    except (ValueError, TypeError) as err:
        raise ConfigError(f"trials: expected JSON, a list of [number, [words]]; {err}") from err
    if len({number for number, _ in checked}) < len(checked):
        raise ConfigError("trials: two have one number")
    return Path(arguments.run_dir).absolute(), checked


if __name__ == "__main__":
    leave(main())
