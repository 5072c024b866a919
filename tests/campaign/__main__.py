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

from moola_remote.ssh.endpoint import Endpoint
from tests.campaign.sequence import Sequence
from tests.support.servers import SSHD, running_local_pod, running_openssh

say = partial(print, flush=True)


def conduct(
    endpoints: Several[Endpoint], seeds: Several[int], num_steps: int
) -> tuple[Counter[str], list[str]]:
    """Try a sequence for each seed, at each server in turn.

    Returns:
        Counts of what was done, and for each broken promise its steps and traceback.
    """
    counts: Counter[str] = Counter()
    broken = []
    for seed, endpoint in zip(seeds, itertools.cycle(endpoints), strict=False):
        sequence = Sequence(endpoint, seed)
        try:
            sequence.live(num_steps)
        except Exception:  # noqa: BLE001 - the others are still tried
            steps = "\n".join(f"    {step}" for step in sequence.steps)
            broken.append(f"seed {seed} at {endpoint.name}:\n{steps}\n{traceback.format_exc()}")
            say(broken[-1], file=sys.stderr)
        counts += Counter(sequences=1) + sequence.counts
    return counts, broken


def main() -> int:
    """Run the campaign on both servers; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=12, help="of each sequence")
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow it")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        os.environ["HOME"] = os.environ["MOOLA_STATE_DIR"] = folder
        endpoints = [stack.enter_context(running_local_pod(Path(folder, "pod")))]
        if SSHD.exists():
            endpoints.append(stack.enter_context(running_openssh(Path(folder, "sshd"))))
        seeds = range(asked.seed, asked.seed + asked.sequences)
        counts, broken = conduct(endpoints, seeds, asked.steps)
    told = ", ".join(f"{number} {name}" for name, number in counts.items())
    say(f"{told}; {time.monotonic() - began:.0f} s; violations: {len(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
