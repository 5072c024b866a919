"""What a verb of the agent costs in CPU time, beside the agent while it was one source file.

    python benchmarks/agent_start.py [PYTHON ...]

Both are started in turns, so that a busy machine is as busy for each; aim: a ratio of 1 at most.
The file is that of commit dadcf3b, out of git's history. `list` is asked on a root without runs
and on one with `RUNS` that have ended.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from moola_remote.agent_client.program import agent_program

ROUNDS = 25
RUNS = 20
BEFORE = "dadcf3b:moola_remote/agent.py"
SPEC = {"argv": ["true"], "gpu": -1}


def main(pythons: list[str]) -> None:
    """Measure on each Python; print medians, minima and their ratios."""
    digest, content = agent_program()
    before = subprocess.run(
        ["git", "show", BEFORE], cwd=Path(__file__).parent, check=True, capture_output=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        # Where it lies on a pod, so that it keeps its byte code there.
        file, package = Path(folder, "agent.py"), Path(folder, "empty", "agent", f"{digest}.pyz")
        file.write_bytes(before)
        package.parent.mkdir(parents=True)
        package.write_bytes(content)
        empty, full = Path(folder, "empty"), Path(folder, "full")
        fill(pythons[0], package, full)
        load = os.getloadavg()[0]
        print(f"{ROUNDS} rounds in turns, load {load:.1f} on {os.cpu_count()} cores, CPU in ms")
        for python in pythons:
            for name, verb, root in (
                ("probe", "probe", empty),
                ("list, no run", "list", empty),
                (f"list, {RUNS} runs", "list", full),
            ):
                compare(python, name, (file, package), ["--root", str(root), verb])


def fill(python: str, program: Path, root: Path) -> None:
    """Make `RUNS` runs that have ended."""
    argv = [python, "-ISB", str(program), "--root", str(root)]
    for number in range(RUNS):
        spec = json.dumps({**SPEC, "run_id": f"bench-{number}"}).encode()
        subprocess.run([*argv, "start"], input=spec, check=True, stdout=subprocess.DEVNULL)
    while True:
        answer = subprocess.run([*argv, "list"], check=True, capture_output=True).stdout
        if all(run["state"] == "SUCCEEDED" for run in json.loads(answer)["runs"]):
            return


def compare(python: str, name: str, programs: tuple[Path, Path], words: list[str]) -> None:
    """Print one line: a verb by the file and by the package."""
    taken: dict[Path, list[float]] = {program: [] for program in programs}
    for number in range(ROUNDS + 1):
        for program, times in taken.items():
            spent = cpu_ms([python, "-ISB", str(program), *words])
            if number:  # the first one warms the disk's cache
                times.append(spent)
    version = subprocess.run(
        [python, "-c", "import platform; print(platform.python_version())"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    middle = [statistics.median(times) for times in taken.values()]
    least = [min(times) for times in taken.values()]
    print(
        f"{version} {name}: file {middle[0]:.1f}, package {middle[1]:.1f}, "
        f"ratio {middle[1] / middle[0]:.2f} (minima {least[0]:.1f}, {least[1]:.1f}, "
        f"ratio {least[1] / least[0]:.2f})",
        flush=True,
    )


def cpu_ms(argv: list[str]) -> float:
    """User and system time of one call."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


if __name__ == "__main__":
    main(sys.argv[1:] or [sys.executable])
