"""Replays a run into the dashboard and prints what showing it costs.

    python benchmarks/dashboard.py

On a terminal it draws the full screen; the cost is printed when it ends (aim: under 5% of a core).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from moola_remote.config.typed import typed
from moola_remote.follow.view import RunView
from moola_remote.protocol.events import Event, EventReader
from moola_remote.protocol.state import RunState
from moola_remote.ui.dashboard import Dashboard

RUN = Path(__file__).parents[1] / "tests" / "remote" / "ui" / "golden"


def main() -> None:
    """Replay, then print CPU time over wall time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--run", type=Path, default=RUN, help="folder with events.jsonl, log, state.json"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the replay takes")
    parser.add_argument("--lines", type=int, default=20, help="more log lines a second")
    parser.add_argument("--state", default="SUCCEEDED", help="how the run ends")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    events = EventReader().feed((arguments.run / "events.jsonl").read_bytes())
    begun, cpu = time.monotonic(), time.process_time()
    replay(arguments, events)
    share = (time.process_time() - cpu) / (time.monotonic() - begun)
    print(f"{share:.1%} of a core", file=sys.stderr)


def replay(arguments: argparse.Namespace, events: list[Event]) -> None:
    """Feed the run, as if it had happened in so many seconds."""
    state = json.loads((arguments.run / "state.json").read_bytes())
    end = state.pop("now")
    view = RunView(
        pod="runpod-4090", run_id=state["run_id"], gpu="RTX 4090 24 GiB", price_per_hour=0.44
    )
    with Dashboard(view, as_json=arguments.json) as dashboard:
        dashboard.on_link("connected")
        dashboard.on_log((arguments.run / "log").read_bytes())
        num_ticks = max(int(arguments.seconds * 50), len(events))
        for tick in range(num_ticks):
            now = state["started_at"] + (end - state["started_at"]) * tick / num_ticks
            if tick % 50 == 0:
                dashboard.on_state(typed(RunState, {**state, "now": now}))
            for event in events[
                tick * len(events) // num_ticks : (tick + 1) * len(events) // num_ticks
            ]:
                dashboard.on_event(event)
            for number in range(arguments.lines * tick // 50, arguments.lines * (tick + 1) // 50):
                dashboard.on_log(f"line {number}: something of no weight, 0.1234\n".encode())
            time.sleep(arguments.seconds / num_ticks)
        reason = "exit code 1" if arguments.state == "FAILED" else None
        ended = {**state, "state": arguments.state, "ended_at": end, "reason": reason}
        dashboard.on_state(typed(RunState, ended))


if __name__ == "__main__":
    main()
