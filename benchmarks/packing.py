"""What a trial of a packed run costs over the same trial in a plain loop in one process.

    python benchmarks/packing.py --data ../shared/data --trials 8 --rounds 2

Aim: at most 1.15 times. CPU seconds of all processes of each way, which other work on the machine
changes less than wall time; the ways alternate, the least of the rounds counts. The built-in market
stands in where there is no --data.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOOP = """
import json, os, sys
from jobs.train import main
for number, words in json.loads(sys.argv[1]):
    if main([*words, "--run-dir", os.path.join(sys.argv[2], str(number))]):
        raise SystemExit(f"trial {number} failed")
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=ROOT / "configs" / "train" / "jade.yaml")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = arguments.data or _made(folder / "data")
        words = ["--config", str(arguments.recipe.resolve()), "--data", str(data.resolve())]
        words += ["--epochs", str(arguments.epochs), "--device", "cpu"]
        trials = [[n, [*words, "--seed", str(n)]] for n in range(arguments.trials)]
        took: dict[str, list[float]] = {}
        for turn in range(arguments.rounds):
            for way in ("fresh", "loop", "pack"):
                seconds = _cpu(way, trials, folder / f"{way}-{turn}")
                took.setdefault(way, []).append(seconds)
                print(f"round {turn + 1}: {way} {seconds:.1f} CPU s", file=sys.stderr, flush=True)
    fresh, loop, pack = (min(took[way]) for way in ("fresh", "loop", "pack"))
    num, load = arguments.trials, os.getloadavg()[0]
    print(f"{num} trials of {arguments.recipe.stem}, {arguments.epochs} epochs; load {load:.1f}")
    print(f"a trial in a process of its own: {fresh:.2f} CPU s")
    print(f"in a plain loop in one process: {loop / num:.2f} CPU s a trial")
    print(f"in a packed run: {pack / num:.2f} CPU s a trial, {pack / loop:.3f} times the loop's")
    print(f"a process a trial over a packed run: {fresh * num / pack:.1f} times")


def _cpu(way: str, trials: list[list[object]], folder: Path) -> float:
    """Return the CPU seconds of all processes that do the trials in one way; of one where fresh."""
    folder.mkdir()
    job = ["-c", LOOP, json.dumps(trials[:1] if way == "fresh" else trials), str(folder)]
    if way == "pack":
        job = ["-m", "jobs.many", "jobs.train", json.dumps(trials), "--run-dir", str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *job], cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    ends = [folder / "trials" / str(number) / "result.json" for number, _ in trials]
    if done.returncode or (way == "pack" and not all(path.is_file() for path in ends)):
        raise SystemExit(f"{way}: did not end well\n{done.stdout[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _made(folder: Path) -> Path:
    from jobs.synthesize import main as synthesize

    with contextlib.redirect_stdout(sys.stderr):
        synthesize(["--out", str(folder)])
    return folder


if __name__ == "__main__":
    main()
