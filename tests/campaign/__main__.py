"""The campaign: ``python -m tests.campaign [--sequences N] [--steps N] [--seed N]``.

It tries all sequences, prints those that broke a promise, and ends with 1 if any did.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence as Several
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.campaign.machine import Machine, can_be_had
from tests.campaign.rented import Rental
from tests.campaign.rules import RULES
from tests.campaign.sequence import Sequence
from tests.support.servers import SSHD

say = partial(print, flush=True)


def conduct(
    machines: Several[Machine], seeds: Several[int], num_steps: int
) -> tuple[Counter[str], list[str]]:
    """Try a sequence for each seed: four of five at the machines in turn, one of a rented pod.

    Returns:
        Counts of what was done, and for each broken promise its steps and traceback.
    """
    counts: Counter[str] = Counter()
    broken = []
    turns = itertools.cycle(machines)
    for number, seed in enumerate(seeds, 1):
        machine = None if seed % 5 == 0 else next(turns)
        sequence = Rental(seed) if machine is None else Sequence(machine, seed, RULES)
        try:
            sequence.live(num_steps)
        except Exception:  # noqa: BLE001 - the others are still tried
            steps = "\n".join(f"    {step}" for step in sequence.steps)
            where = machine.kind if machine else "a rented pod"
            broken.append(f"seed {seed}, {where}:\n{steps}\n{traceback.format_exc()}")
            say(broken[-1], file=sys.stderr)
        counts += Counter(sequences=1) + sequence.counts
        if number % 25 == 0:
            say(f"{number} of {len(seeds)} sequences, {len(broken)} violations")
    return counts, broken


def main() -> int:
    """Run the campaign on both servers; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=12, help="of each sequence")
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow it")
    asked = parser.parse_args()
    began = time.monotonic()
    if not can_be_had():
        say("error: no right to make namespaces and mount disks here; run it as root on Linux")
        return 2
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        os.environ["HOME"] = os.environ["MOOLA_STATE_DIR"] = folder
        machines = [Machine(Path(folder, "embedded"), "embedded")]
        if SSHD.exists():
            machines.append(Machine(Path(folder, "openssh"), "OpenSSH"))
        for machine in machines:
            stack.callback(machine.close)
        seeds = range(asked.seed, asked.seed + asked.sequences)
        counts, broken = conduct(machines, seeds, asked.steps)
    done = ", ".join(f"{number} {name}" for name, number in counts.items())
    say(f"{done}; {time.monotonic() - began:.0f} s; violations: {len(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
