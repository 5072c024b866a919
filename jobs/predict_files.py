"""Find expansions in many series, a file a task, in several processes.

    python -m jobs.predict_files --run results/RUN --out spans --processes 4 a.parquet b.parquet

Writes OUT/<name>.parquet for each series, the same bytes as `jobs.predict` alone, each whole or not
at all, and OUT/failed.json with the reason for each that could not be read; the others are done all
the same. A file is not cut: what is found depends on the whole series, so the longest bounds the
time. Exit code 3 where one failed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from jobs import predict
from jobs.common.entry import exit_code_of, quick_imports
from jobs.common.paths import found, make_folder, output
from moola_core.errors import ConfigError, JobError
from moola_core.io.json_file import write_json

FAILED = 3


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.predict_files",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bars", type=found, nargs="+", help="the series, a file each")
    parser.add_argument("--run", type=found, required=True, help="folder of a run, with artifacts/")
    parser.add_argument("--out", type=output, required=True, help="folder for the spans")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at once (CPUs)")
    parser.add_argument(
        "--stride", type=int, help="bars from window to window (a third of a window)"
    )
    parser.add_argument("--min-confidence", type=float, default=0.0, help="drop less sure ones (0)")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: predict_files(arguments))


def predict_files(arguments: argparse.Namespace) -> int:
    """Predict each file, the largest first; report each."""
    paths: list[Path] = arguments.bars
    names = [path.stem for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"bars: two files are named {twice[0]}, expected each name once")
    if arguments.processes < 1:
        raise ConfigError(f"--processes: expected 1 or more, got {arguments.processes}")
    out: Path = arguments.out
    make_folder("--out", out)
    common = ["--run", str(arguments.run)]
    common += [] if arguments.stride is None else ["--stride", str(arguments.stride)]
    common += ["--min-confidence", str(arguments.min_confidence)]
    paths = sorted(paths, key=lambda path: -path.stat().st_size if path.is_file() else 0)
    failed: dict[str, str] = {}
    began = time.monotonic()
    context = multiprocessing.get_context("fork" if _can_fork() else "spawn")
    with ProcessPoolExecutor(min(arguments.processes, len(paths)), mp_context=context) as pool:
        with warnings.catch_warnings():
            # Of threads that libraries have, who see to a fork themselves.
            warnings.simplefilter("ignore", DeprecationWarning)
            tasks = {
                pool.submit(predict_one, path, out / f"{path.stem}.parquet", common): path
                for path in paths
            }
        for number, task in enumerate(as_completed(tasks), start=1):
            path, why = tasks[task], task.result()
            if why:
                failed[path.stem] = why
            took_s = time.monotonic() - began
            print(f"{number}/{len(paths)} {path.name}: {why or 'done'}, {took_s:.0f} s", flush=True)
    if failed:
        write_json(out / "failed.json", {"failed": failed})
        print(f"error: {len(failed)} of {len(paths)} series failed", file=sys.stderr)
    return FAILED if failed else 0


def _can_fork() -> bool:
    """Return whether processes may be copies of this one, which then imports for all of them.

    Beside a GPU they start anew, as CUDA does not outlive a fork.
    """
    if any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    with quick_imports():
        import torch

        from jobs.common.forked import can_fork

        if not can_fork(torch.device("cpu"), threads=1):
            return False
        predict.import_all()
    return True


def predict_one(path: Path, out: Path, common: Sequence[str]) -> str:
    """Predict one series in this process, which keeps what it has imported for the next.

    Returns:
        Why it can't be done, without the path, which on a pod is none that the user knows; empty
        where it was.
    """
    arguments = predict.make_parser().parse_args([*common, "--bars", str(path), "--out", str(out)])
    try:
        predict.predict(arguments)
    except (JobError, OSError) as err:
        return " ".join(str(err).split()).removeprefix(f"{path}: ")
    return ""


if __name__ == "__main__":
    sys.exit(main())
