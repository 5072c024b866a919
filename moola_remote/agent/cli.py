"""The verbs: each is imported when it is asked for, since most calls need little of the program."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, List, Optional

from moola_remote.agent.constants import CANCEL_PATIENCE_S, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.layout import Pod
from moola_remote.agent.restart_guard import ensure_guard

# Verb: module, function, and what the function takes; `object` is the JSON on stdin, `text` stdin
# as it is, any other name than `pod` and `run` an option of the verb.
VERBS = {
    "probe": ("probe", "probe", "pod reserve"),
    "room": ("probe", "room", "pod size"),
    "link": ("trees", "link", "pod kind digest object"),
    "seal": ("trees", "seal", "pod kind digest object"),
    "environment": ("environment", "environment", "pod digest python text"),
    "start": ("start", "start", "pod object"),
    "list": ("state", "list_runs", "pod facts last prefix"),
    "state": ("state", "current", "pod run"),
    "show": ("state", "show", "pod run"),
    "checkpoints": ("manifest", "checkpoints", "run object"),
    "manifest": ("manifest", "manifest", "pod run"),
    "manifests": ("manifest", "manifests", "pod object"),
    "clean": ("clean", "clean", "pod object"),
    "cancel": ("cancel", "cancel", "pod run grace patience"),
    "locate": ("log_positions", "locate", "run tail since"),
    "follow": (
        "follow",
        "follow",
        "pod run log_offset log_generation event_offset event_generation",
    ),
    "guard": ("watchdog", "guard", "pod object"),
    "guard --watch": ("watchdog", "watch", "pod"),
    "idle": ("watchdog", "idleness_of_pod", "pod"),
    "supervise": ("supervisor", "supervise", "pod run held"),
}


def parse(argv: List[str]) -> argparse.Namespace:
    """Parse a command line."""
    parser = argparse.ArgumentParser(prog="agent", description="moola's program on the pod")
    parser.add_argument("--root", type=Path, default=Path(sys.argv[0]).resolve().parents[1])
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list")
    listing.add_argument("--facts", action="store_true")
    listing.add_argument("--last", type=int)
    listing.add_argument("--prefix", default="")
    verbs.add_parser("guard").add_argument("--watch", action="store_true")
    verbs.add_parser("probe").add_argument("--reserve", action="append", default=[])
    for name in ("start", "idle", "clean", "manifests"):
        verbs.add_parser(name)
    followed = ("cancel", "locate", "follow")
    for name in ("state", "show", "checkpoints", "manifest", "supervise", *followed):
        verb = verbs.add_parser(name)
        verb.add_argument("run")
        if name == "cancel":
            verb.add_argument("--grace", type=float)
            verb.add_argument("--patience", type=float, default=CANCEL_PATIENCE_S)
        if name == "supervise":
            verb.add_argument("--held", type=int)
        if name == "locate":
            verb.add_argument("--tail", type=int)
            verb.add_argument("--since", type=float)
        if name == "follow":
            for file in ("log", "event"):
                verb.add_argument(f"--{file}-offset", type=int, default=0)
                verb.add_argument(f"--{file}-generation")
    verbs.add_parser("room").add_argument("size", type=int)
    for name in ("link", "seal"):
        verb = verbs.add_parser(name)
        verb.add_argument("kind", choices=["code", "data", "checkpoints"])
        verb.add_argument("digest")
    verb = verbs.add_parser("environment")
    verb.add_argument("digest")
    verb.add_argument("--python", default=sys.executable)
    return parser.parse_args(argv)


def read_object() -> Json:
    """Read the JSON object on stdin."""
    try:
        value = json.loads(sys.stdin.buffer.read())
    except ValueError as err:
        raise AgentError("bad_request", f"stdin: not JSON: {err}") from err
    if not isinstance(value, dict):
        raise AgentError("bad_request", "stdin: expected a JSON object")
    return value


def answer(args: argparse.Namespace) -> Optional[Json]:
    """Run a verb; return what it prints, or None where it prints by itself."""
    is_guard = getattr(args, "watch", False)
    module, function, needs = VERBS["guard --watch" if is_guard else args.verb]
    pod = Pod(args.root.resolve())
    if not is_guard:
        ensure_guard(pod)
    values = [argument(name, args, pod) for name in needs.split()]
    found = __import__(f"moola_remote.agent.{module}", fromlist=[function])
    result: Optional[Json] = getattr(found, function)(*values)
    return result


def argument(name: str, args: argparse.Namespace, pod: Pod) -> Any:
    """Return what `name` stands for in `VERBS`."""
    if name == "pod":
        return pod
    if name == "run":
        return pod.run(args.run)
    if name == "object":
        return read_object()
    if name == "text":
        return sys.stdin.buffer.read().decode("utf-8")
    return getattr(args, name)
