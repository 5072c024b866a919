"""Numbers and words of the protocol, and the times by which the agent waits."""

from __future__ import annotations

from typing import Any, Dict, Tuple

Json = Dict[str, Any]
SCHEMA = 1
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST")
STATES = ("QUEUED", "PREPARING", "RUNNING", *ENDED)
# Of what kind the keys of a state are, where they are not null, and from where to where a number
# may go: what we reckon with, and what the laptop expects (`protocol/state.RunState`).
MOST = 2**63
SHAPE: Dict[str, Tuple[type, float, float]] = {
    "reason": (str, 0, 0),
    "returncode": (int, -(2**31), 2**32 - 1),
    "signal": (str, 0, 0),
    "oom_killed": (bool, 0, 1),
    "queued_at": (float, -MOST, MOST),
    "started_at": (float, -MOST, MOST),
    "ended_at": (float, -MOST, MOST),
    "heartbeat_at": (float, -MOST, MOST),
    "command": (str, 0, 0),
    "gpu": (int, 0, MOST),
    "supervisor": (dict, 0, 0),
    "job": (dict, 0, 0),
    "last_lines": (list, 0, 0),
    "log_size": (int, 0, MOST),
    "events_size": (int, 0, MOST),
    "manifest_sha256": (str, 0, 0),
    "ticket": (int, -MOST, MOST),
    "wants": (list, 0, 0),
    "gpus": (list, 0, 0),
    "gpu_locks": (list, 0, 0),
    "stopping": (str, 0, 0),
    "killed": (int, 0, MOST),
    "price_per_hour": (float, -MOST, MOST),
    "idle_share": (float, 0, 1),
    "samples": (list, 0, 0),
    "on_finish": (int, -(2**31), 2**32 - 1),
}
NEVER_NULL = ("oom_killed", "log_size", "events_size")
PREEMPTED_CODE = 143
NO_GPU = -1
MAX_GPUS = 64
COMMAND_CHARS = 200
TICK_S = 0.2
HEARTBEAT_S = 5.0
# Without one for so long it is asked whether the disk is full.
SILENT_S = 15.0
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
NO_ROOM = "not even 16 MB can be written on the pod"  # `sweep/verdict.py` knows it
IDLE_PERCENT = 5
# A rename on btrfs wants about 0.3 MB to be left of a quota.
RESERVE_BYTES = 1 << 19
# A state takes at most so much, but for its last lines.
STATE_BYTES = 1 << 12
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
