"""How cost grows with the work, beside what a user would do with rsync and ssh, in one run.

    python benchmarks/growth.py [ROW ...] [--sizes 1000 3000] [--rounds 3] [--installed]

Over OpenSSH's sshd on loopback, ours and the peer by turns, so that a busy machine is as busy for
each. A line a size: the median of both and of their ratio; then the exponent between the two
largest sizes: log(cost) over log(size). CPU is that of this machine's processes and of those under
sshd; what a start leaves behind on the pod counts in `waiting` alone. Ends with 1 if a bar is
missed.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import client_size, growth_deploy, growth_runs
from benchmarks.growth_place import Place, place
from tests.support.projects import PROGRAM

# Of one size, round by round: what ours cost, and the peer; 0 where there is none to compare with.
Pairs = Iterator[tuple[float, float]]


@dataclass(frozen=True)
class Row:
    """One piece of work.

    Attributes:
        measure: called with the place, a size and a number of rounds; yields ours and the peer's.
        unit: of what it yields.
        bar: the most that the ratio may be; where `is_absolute`, ours itself; None has none.
        aim: what it should come to.
        exponent: the most that the exponent may be, or None.
    """

    measure: Callable[[Place, int, int], Pairs]
    sizes: Sequence[int]
    unit: str = "CPU s"
    bar: float | None = None
    aim: float | None = None
    exponent: float | None = None
    is_absolute: bool = False


ROWS = {
    "first": Row(growth_deploy.first, (1000, 3000, 10000), bar=2.5, aim=1.5, exponent=1.1),
    "unchanged": Row(growth_deploy.unchanged, (3000, 30000), bar=1.5, aim=1.1),
    "one": Row(growth_deploy.one_changed, (3000, 30000), bar=2.0, aim=1.3),
    "other": Row(growth_deploy.after_another, (1000,), "files sent", 2, 1, is_absolute=True),
    "peak": Row(growth_deploy.peak, (10000,), "MB", 200.0, 100.0, is_absolute=True),
    "large": Row(growth_deploy.large, (200,), bar=1.5, aim=1.1),
    "bytes": Row(growth_deploy.large_changed, (200,), bar=1.5, aim=1.1),
    "ask": Row(growth_runs.ask, (1,), "CPU s here", 0.35, 0.2, is_absolute=True),
    "ask-first": Row(growth_runs.ask_first, (1,), "CPU s here", 0.35, 0.2, is_absolute=True),
    "start": Row(growth_runs.start, (1,), "wall s", 3.0, 1.5),
    "ended": Row(growth_runs.ended, (10, 1000), "s from queued to started", 1.3, 1.0),
    "listed": Row(growth_runs.listed, (10, 1000), "wall s", 1.3, 1.0),
    "page": Row(growth_runs.page, (10, 1000), bar=1.3, aim=1.0),
    "clean": Row(growth_runs.clean, (100, 1000), "wall s", exponent=1.1),
    "fetch": Row(growth_runs.fetch, (1000, 3000), bar=3.0, aim=1.5, exponent=1.1),
    "again": Row(growth_runs.fetch_again, (1000, 3000), bar=2.0, aim=1.0),
    "tiny": Row(growth_runs.fetch_tiny, (10, 1000), bar=1.3, aim=1.0),
    "index": Row(growth_runs.index, (1000,), "CPU s here", 1.0, 1.0, is_absolute=True),
    "reindex": Row(growth_runs.index_again, (1000,), "CPU s here", 1.0, 1.0, is_absolute=True),
    "sort": Row(growth_runs.sort, (1000,), "CPU s here", 1.0, 1.0, is_absolute=True),
    "waiting": Row(growth_runs.waiting, (10, 25), "cores", 0.02, 0.02, is_absolute=True),
    "memory": Row(growth_runs.waiting_memory, (10, 50), "MB", 150.0, 150.0, is_absolute=True),
    "lines": Row(growth_runs.lines, (100_000, 1_000_000), bar=2.0, aim=1.0, exponent=1.1),
}


def report(name: str, row: Row, sizes: Sequence[int], rounds: int, program: Path) -> bool:
    """Measure and print one row; whether its bar is met."""
    costs, is_met = [], True
    with place(program) as here:
        for size in sizes:
            pairs = list(row.measure(here, size, rounds))
            ours = statistics.median(pair[0] for pair in pairs)
            peer = statistics.median(pair[1] for pair in pairs)
            costs.append(ours)
            ratio = statistics.median(one / other for one, other in pairs) if peer else math.nan
            judged = ours if row.is_absolute else ratio
            beside = f"peer {peer:8.3f}  ratio {ratio:6.2f}" if peer else ""
            print(
                f"{name:10} {size:>9,}  {ours:8.3f} {row.unit}  {beside}{_verdict(row, judged)}",
                flush=True,
            )
            is_met &= row.bar is None or judged <= row.bar
    if len(costs) > 1 and min(costs[-2:]) > 0:
        slope = math.log(costs[-1] / costs[-2]) / math.log(sizes[-1] / sizes[-2])
        said = "" if row.exponent is None else f" (bar {row.exponent:g})"
        print(f"{name:10} exponent  {slope:.2f}{said}", flush=True)
        is_met &= row.exponent is None or slope <= row.exponent
    return is_met


def _verdict(row: Row, found: float) -> str:
    if row.bar is None or row.aim is None:
        return ""
    word = "aim met" if found <= row.aim else "bar met" if found <= row.bar else "MISSED"
    return f"  {word} (bar {row.bar:g}, aim {row.aim:g})"


def installed(folder: Path) -> Path:
    """Return the client of this checkout, installed in an environment of its own.

    That of a checkout starts .03 s of CPU later: what is there for its tests is imported, too.
    """
    client_size.measure(folder / "client", client_size.build(folder), "report")
    return folder / "client" / "bin" / "moola-remote"


def main() -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all")
    parser.add_argument("--sizes", type=int, nargs="+", help="in place of each row's own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--installed", action="store_true", help="a wheel's client, as users do")
    args = parser.parse_args()
    unknown = set(args.rows) - set(ROWS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: expected of {', '.join(ROWS)}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {args.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        program = installed(Path(folder)) if args.installed else PROGRAM
        met = [
            report(name, ROWS[name], args.sizes or ROWS[name].sizes, args.rounds, program)
            for name in args.rows or ROWS
        ]
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    return int(not all(met))


if __name__ == "__main__":
    sys.exit(main())
