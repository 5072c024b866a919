"""How much quicker several series are predicted by two processes than by one.

    python benchmarks/predict_files.py --data ../shared/data --bars 100000

Aim: 1.8 times on two cores. On a machine that others use, wall time says how busy it was: so the
busiest process's CPU seconds with those of its parent, which is what the time would be with a core
for each, stand beside it. The ways alternate, the least of the rounds counts. The model is
`jade-ensemble` after one epoch; the built-in market stands in where there is no --data.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
NUM_SERIES = 4
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recipe", type=Path, default=ROOT / "configs/train/jade-ensemble.yaml")
    parser.add_argument("--bars", type=int, default=100_000, help="of each of four series")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = arguments.data or _made(folder / "data")
        series = _series(data, folder, arguments.bars)
        train = ["-m", "jobs.train", "--config", str(arguments.recipe), "--epochs", "1"]
        train += ["--set", "training.checkpoint_epochs=1", "--set", "ensemble.checkpoints=1"]
        train += ["--data", str(data.resolve()), "--run-dir", str(folder / "run")]
        _measure([*train, "--device", "cpu"])
        took: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
        for turn in range(arguments.rounds):
            for processes, results in took.items():
                words = ["--run", str(folder / "run"), "--out", str(folder / f"{processes}-{turn}")]
                words += ["--processes", str(processes), *map(str, series)]
                results.append(_measure(["-m", "jobs.predict_files", *words]))
                wall, path = results[-1]
                line = f"{processes} processes: {wall:.1f} s, the busiest {path:.1f} CPU s"
                print(line, file=sys.stderr, flush=True)
    walls = [min(wall for wall, _ in took[processes]) for processes in took]
    paths = [min(path for _, path in took[processes]) for processes in took]
    print(f"{NUM_SERIES} series of {arguments.bars:,} bars, {arguments.recipe.stem}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"wall: {walls[0]:.1f} and {walls[1]:.1f} s, {walls[0] / walls[1]:.2f} times")
    print(f"busiest: {paths[0]:.1f} and {paths[1]:.1f} CPU s, {paths[0] / paths[1]:.2f} times")


def _measure(words: list[str]) -> tuple[float, float]:
    """Run Python; return wall seconds, and the CPU seconds of it and its busiest child."""
    began = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    seen: dict[int, float] = {}
    while process.poll() is None:
        for pid in [process.pid, *_children(process.pid)]:
            seen[pid] = max(_cpu(pid), seen.get(pid, 0.0))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(words[:2])}: exit code {process.returncode}")
    own = seen.pop(process.pid, 0.0)
    return time.monotonic() - began, own + max(seen.values(), default=0.0)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _series(data: Path, folder: Path, num_bars: int) -> list[Path]:
    """Return series of a length, each from another place of the longest file of bars."""
    found = (data / "bars").glob("*.parquet")
    table = pq.read_table(max(found, key=lambda path: pq.read_metadata(path).num_rows))
    if len(table) < num_bars:
        raise SystemExit(f"--bars {num_bars}: expected at most {len(table)}, as the longest file")
    step = max(1, (len(table) - num_bars) // NUM_SERIES)
    paths = []
    for number in range(NUM_SERIES):
        paths.append(folder / f"series{number}.parquet")
        pq.write_table(table.slice(number * step, num_bars), paths[-1])
    return paths


def _made(folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "jobs.synthesize", "--out", str(folder)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder


if __name__ == "__main__":
    main()
