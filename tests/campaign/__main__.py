"""The campaign: ``python -m tests.campaign [--sequences N] [--steps N] [--seed N]``.

It ends with 1 at the first violation, and prints the sequence that showed it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from moola_remote.ssh.endpoint import Endpoint
from tests.campaign.machine import Campaign
from tests.support.servers import SSHD, running_local_pod, running_openssh

say = partial(print, flush=True)


def conduct(endpoints: list[Endpoint], sequences: int, steps: int, start: int | None) -> None:
    """Try so many sequences; `start` None draws a seed, and hypothesis prints how to repeat it.

    Raises:
        AssertionError: a promise is broken.
    """
    machine = type("TheCampaign", (Campaign,), {"endpoints": endpoints})
    chosen = settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),  # what depends on time can not be made shorter
    )
    factory = machine if start is None else seed(start)(machine)
    run_state_machine_as_test(factory, settings=chosen)


def main() -> int:
    """Run the campaign on both servers; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign")
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        os.environ["HOME"] = os.environ["MOOLA_STATE_DIR"] = folder
        endpoints = [stack.enter_context(running_local_pod(Path(folder, "pod")))]
        if SSHD.exists():
            endpoints.append(stack.enter_context(running_openssh(Path(folder, "sshd"))))
        try:
            conduct(endpoints, asked.sequences, asked.steps, asked.seed)
            code = 0
        except Exception:  # noqa: BLE001 - a violation, alone or with what repeating it showed
            traceback.print_exc()
            code = 1
    counts = ", ".join(f"{number} {name}" for name, number in Campaign.counts.items())
    say(f"{counts}; seed {asked.seed}; {time.monotonic() - began:.0f} s; violations: {code}")
    return code


if __name__ == "__main__":
    sys.exit(main())
