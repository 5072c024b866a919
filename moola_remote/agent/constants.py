"""Numbers and words of the protocol, and the times by which the agent waits."""

from __future__ import annotations

from typing import Any, Dict

Json = Dict[str, Any]
SCHEMA = 1
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST")
STATES = ("QUEUED", "PREPARING", "RUNNING", *ENDED)
# Of what kind the keys of a state are that we reckon with, where they are not null.
SHAPE = (
    ((int, float), ("queued_at", "started_at", "ended_at", "heartbeat_at")),
    ((int,), ("ticket", "killed", "gpu")),
    ((dict,), ("supervisor", "job")),
    ((list,), ("wants", "samples", "last_lines", "gpus", "gpu_locks")),
)
PREEMPTED_CODE = 143
NO_GPU = -1
MAX_GPUS = 64
COMMAND_CHARS = 200
TICK_S = 0.2
HEARTBEAT_S = 5.0
TELEMETRY_S = 10.0
TIMES_S = 1.0
# A run of another boot whose heart beat as lately as this may live on another machine that shares
# our volume.
FRESH_S = 30.0
# RunPod kills 5 s after SIGTERM.
POD_STOP_GRACE_S = 4.0
STRAGGLER_GRACE_S = 2.0
KILL_PATIENCE_S = 10.0
LAST_LINES = 25
LIMIT_REACHED = "its limit was reached"
IDLE_PERCENT = 5
RESERVE_BYTES = 1 << 16
ROOM_BYTES = 1 << 24
BLOCK = 1 << 18
JSON_BYTES = 1 << 26
FACTS = 1 << 24  # of all runs' recipes together
# A line or two is the rule, and to make room for a large block costs more than to fill it.
FIRST_BLOCK = 1 << 13
API_TIMEOUT_S = 30
GRACE_S = 10.0  # where a spec has none
# What `cancel` waits past the grace, for SIGKILL, stragglers and the manifest.
CANCEL_PATIENCE_S = 30.0
