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
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

from jobs.common.entry import exit_code_of, leave
from jobs.common.signals import STOPPED
from jobs.common.trial import END, LOG, do_trial
from moola_core.errors import ConfigError, ProcessesError
from moola_core.io.json_file import write_json

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
