"""The fault table of docs/results.md; ends with 1 if anything was lost.

python -m tests.faults [NAME ...]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from moola_remote.text.sanitize import safe
from tests.faults import client, damage, network, pod
from tests.faults.scene import Findings, Scene, ServerKind, scene
from tests.support.servers import SSHD


class Fault(NamedTuple):
    """One row of the table for each server."""

    name: str
    happen: Callable[[Scene, int], Findings]
    tries: int


FAULTS = (
    Fault("client killed in `deploy`", client.deploy_is_killed, 20),
    Fault("client killed in `train`", client.train_is_killed, 20),
    Fault("client killed in `fetch`", client.fetch_is_killed, 20),
    Fault("two clients at once", client.two_clients, 3),
    Fault("SSH server killed", network.server_is_killed, 3),
    Fault("connection reset in a frame", network.connection_is_reset, 20),
    Fault("supervisor killed", pod.supervisor_is_killed, 3),
    Fault("job killed", pod.job_is_killed, 3),
    Fault("disk full: log", pod.disk_is_full_for_the_log, 1),
    Fault("disk full: state", pod.disk_is_full_for_the_state, 2),
    Fault("disk full: checkpoint", pod.disk_is_full_for_a_checkpoint, 1),
    Fault("disk full: laptop's results", damage.disk_is_full_for_a_fetch, 1),
    Fault("disk full: bytecode", damage.bytecode_is_cut, 1),
    Fault("journal's end spoilt", damage.end_of_a_journal_is_spoilt, 2),
    Fault("laptop's notes empty", damage.notes_are_empty, 1),
    Fault("state.json damaged", damage.state_is_damaged, 3),
    Fault("outputs beside the code", damage.outputs_are_in_the_working_folder, 1),
    Fault("clock jumps", pod.clock_jumps, 2),
    Fault("agent upgraded under a job", pod.agent_is_upgraded, 2),
)
# It is mostly waiting, so it has a scene of its own.
SILENCE = Fault("silence of 60 s", network.line_falls_silent, 1)
say = partial(print, flush=True)
Row = tuple[Fault, ServerKind, Findings]


def visit(kind: ServerKind, faults: Sequence[Fault], folder: Path) -> list[Row]:
    """Each fault in turn, at a server of its own."""
    if not faults:
        return []
    with scene(kind, folder) as place:
        return [happen(place, fault) for fault in faults]


def happen(place: Scene, fault: Fault) -> Row:
    """One fault, and what came of it."""
    began = time.monotonic()
    try:
        found = fault.happen(place, fault.tries)
    except Exception:  # noqa: BLE001 - the others shall still be tried
        found = Findings(fault.tries, [traceback.format_exc()])
    took_s = time.monotonic() - began
    losses = "".join(f"\n    {loss}" for loss in found.lost)
    say(f"{place.kind:9} {fault.name:28} {took_s:5.1f} s{losses}", file=sys.stderr)
    return fault, place.kind, found


def reported_loss(found: Findings) -> str:
    """The number of things that were lost, or why nothing was tried."""
    return f"skipped: {found.skipped}" if found.skipped else str(len(found.lost))


def table(rows: list[Row]) -> str:
    """Markdown; servers at which a fault went alike share a row."""
    alike: dict[tuple[str, int, str, str], list[str]] = {}
    order = [fault.name for fault in (*FAULTS, SILENCE)]
    for fault, kind, found in sorted(rows, key=lambda row: (order.index(row[0].name), row[1])):
        saw = safe(found.saw, 300).replace("|", "\\|")
        alike.setdefault((fault.name, found.tries, reported_loss(found), saw), []).append(kind)
    lines = ["| fault | server | tries | lost | what the user saw |", "|---|---|---|---|---|"]
    for (name, tries, loss, saw), kinds in alike.items():
        each = " each" if len(kinds) > 1 else ""
        lines.append(f"| {name} | {', '.join(kinds)} | {tries}{each} | {loss} | {saw} |")
    return "\n".join(lines)


def main(names: Sequence[str]) -> int:
    """Print the table."""
    chosen = [fault for fault in FAULTS if not names or any(name in fault.name for name in names)]
    silence = [SILENCE] if not names or any(name in SILENCE.name for name in names) else []
    kinds: list[ServerKind] = ["embedded", "OpenSSH"] if SSHD.exists() else ["embedded"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(4) as threads:
        os.environ["HOME"] = name
        pending = [
            threads.submit(visit, kind, faults, Path(name, f"{kind}-{number}"))
            for kind in kinds
            for number, faults in enumerate((silence, chosen))
        ]
        rows = [row for rows in pending for row in rows.result()]
    say(table(rows))
    took_s, cpu_s = time.monotonic() - began, sum(os.times()[:4])
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    say(f"\n{took_s:.0f} s, {cpu_s:.0f} s of CPU, {load}", file=sys.stderr)
    return int(any(found.lost for _, _, found in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
