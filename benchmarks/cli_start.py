"""What ``moola-remote --help`` costs against the smallest click program, in CPU time.

    python benchmarks/cli_start.py

Both are started in turns, so that a busy machine is as busy for either; aim: a ratio of 2 at most.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 15
HELLO = """\
import sys
import click

@click.command()
@click.option("--name", default="world", help="Who is greeted.")
def main(name):
    \"\"\"Greet.\"\"\"
    click.echo(f"hello {name}")

if __name__ == "__main__":
    sys.exit(main())
"""
OURS = """\
import sys
from moola_remote.cli import main

if __name__ == "__main__":
    sys.exit(main())
"""


def main() -> None:
    """Measure, and print medians and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        # Both as pip writes a console script: a file that imports and calls.
        programs = {"click hello world": HELLO, "moola-remote": OURS}
        times: dict[str, list[float]] = {name: [] for name in programs}
        for name, text in programs.items():
            path = Path(folder, name.replace(" ", "_"))
            path.write_text(text, encoding="utf-8")
            cpu_ms(path)  # caches the byte code
        for _ in range(RUNS):
            for name in programs:
                times[name].append(cpu_ms(Path(folder, name.replace(" ", "_"))))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, median in medians.items():
        print(f"{name} --help: {median:.0f} ms of CPU, median of {RUNS}")
    print(f"ratio {medians['moola-remote'] / medians['click hello world']:.2f} (aim: 2 at most)")


def cpu_ms(program: Path) -> float:
    """User and system time of one ``--help``."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, str(program), "--help"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


if __name__ == "__main__":
    main()
