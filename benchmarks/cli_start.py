"""What ``moola-remote --help`` and a Tab cost against the smallest click program, in CPU time.

    python benchmarks/cli_start.py

All are started in turns, so that a busy machine is as busy for each; aim: a ratio of 2 at most.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
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


# What the shell asks when Tab is pressed behind `moola-remote attach 2026`.
TAB = {
    "_MOOLA_REMOTE_COMPLETE": "zsh_complete",
    "COMP_WORDS": "moola-remote attach 2026",
    "COMP_CWORD": "2",
}


def main() -> None:
    """Measure, and print medians and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        # All as pip writes a console script: a file that imports and calls.
        hello, ours = Path(folder, "hello"), Path(folder, "moola-remote")
        hello.write_text(HELLO, encoding="utf-8")
        ours.write_text(OURS, encoding="utf-8")
        programs: dict[str, Callable[[], float]] = {
            "click hello world --help": lambda: cpu_ms(hello),
            "moola-remote --help": lambda: cpu_ms(ours),
            "moola-remote attach 2026<Tab>": lambda: cpu_ms(ours, **TAB),
        }
        for measure in programs.values():
            measure()  # caches the byte code
        times = [{name: measure() for name, measure in programs.items()} for _ in range(RUNS)]
    medians = {name: statistics.median(taken[name] for taken in times) for name in programs}
    least = min(medians.values())
    for name, median in medians.items():
        print(f"{name}: {median:.0f} ms of CPU, median of {RUNS}, ratio {median / least:.2f}")


def cpu_ms(program: Path, **environment: str) -> float:
    """User and system time of one ``--help``, or of what `environment` asks for."""
    inherited = {**os.environ}
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled once
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, str(program), *([] if environment else ["--help"])],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**inherited, **environment},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


if __name__ == "__main__":
    main()
