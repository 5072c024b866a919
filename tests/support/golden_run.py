"""The run whose screens are kept in tests/remote/ui/golden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from moola_remote.config.typed import typed
from moola_remote.follow.view import RunView
from moola_remote.protocol.events import EventReader
from moola_remote.protocol.state import RunState

GOLDEN = Path(__file__).parents[1] / "remote" / "ui" / "golden"


STATE: dict[str, Any] = json.loads((GOLDEN / "state.json").read_bytes())


NOW = STATE["now"]


def state(**changes: Any) -> RunState:
    return typed(RunState, {**STATE, **changes})


def golden_view() -> RunView:
    view = RunView("runpod-4090", STATE["run_id"], gpu="RTX 4090 24 GiB", price_per_hour=0.44)
    view.link = "connected"
    view.take_state(state(), NOW)
    view.take_log((GOLDEN / "log").read_bytes())
    for event in EventReader().feed((GOLDEN / "events.jsonl").read_bytes()):
        view.take_event(event)
    return view
