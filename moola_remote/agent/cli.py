"""The verbs: each is imported when it is asked for, since most calls need little of the program."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from moola_remote.agent.constants import CANCEL_PATIENCE_S, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.layout import Pod
from moola_remote.agent.restart_guard import ensure_guard

# Verb: module, function, and what the function takes: `object` is the JSON on stdin, `text` stdin
# as it is, any other name than `pod` one of `WORDS` or `OPTIONS`.
VERBS = {
    "probe": ("probe", "probe", "pod text"),
    "room": ("probe", "room", "pod size"),
    "link": ("linking", "link", "pod kind digest object"),
    "seal": ("trees", "seal", "pod kind digest object"),
    "environment": ("environment", "environment", "pod digest python text"),
    "start": ("start", "start", "pod object"),
    "list": ("state", "list_runs", "pod facts last prefix"),
    "state": ("state", "current", "pod run"),
    "show": ("state", "show", "pod run"),
    "checkpoints": ("manifest", "checkpoints", "run object"),
    "send": ("sending", "send_files", "run object"),
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


def tree(kind: str) -> str:
    """Return the kind of a tree.

    Raises:
        ValueError: there is none of this name.
    """
    if kind not in ("code", "data", "checkpoints"):
        raise ValueError(kind)
    return kind


# What follows a verb, in the order of `VERBS`.
WORDS: Dict[str, Callable[[str], Any]] = {"run": str, "size": int, "kind": tree, "digest": str}
# By name: what its text becomes, and what it is where it isn't given.
OPTIONS: Dict[str, Tuple[Callable[[str], Any], Any]] = {
    "facts": (bool, False),
    "last": (int, None),
    "prefix": (str, ""),
    "python": (str, sys.executable),
    "grace": (float, None),
    "patience": (float, CANCEL_PATIENCE_S),
    "tail": (int, None),
    "since": (float, None),
    "held": (int, None),
    "log_offset": (int, 0),
    "log_generation": (str, None),
    "event_offset": (int, 0),
    "event_generation": (str, None),
}
FLAGS = ("facts", "watch")


class Call(NamedTuple):
    """A command line: the pod's folder, the key of `VERBS`, what was given by name."""

    root: Path
    verb: str
    given: Dict[str, Any]


def parse(argv: List[str]) -> Call:
    """Parse ``[--root ROOT] VERB WORD ... [--OPTION VALUE] ...``.

    argparse would take a third of what a short verb costs.

    Raises:
        AgentError: it is none of ours.
    """
    words, options = split(argv)
    root = options.pop("root", None)
    verb = words.pop(0) if words else ""
    if verb == "guard" and options.pop("watch", ""):
        verb = "guard --watch"
    if verb not in VERBS:
        raise AgentError("bad_request", f"verb {verb!r}: expected one of {', '.join(VERBS)}")
    needs = VERBS[verb][2].split()
    names = [name for name in needs if name in WORDS]
    unknown = [f"--{name}" for name in options if name not in needs or name not in OPTIONS]
    if len(words) != len(names) or unknown:
        wanted = " ".join(map(str.upper, names)) or "nothing"
        got = " ".join([*words, *unknown]) or "nothing"
        raise AgentError("bad_request", f"{verb}: expected {wanted}, got {got}")
    given = {name: OPTIONS[name][1] for name in needs if name in OPTIONS}
    for name, text in [*zip(names, words), *options.items()]:
        kind = WORDS.get(name) or OPTIONS[name][0]
        try:
            given[name] = kind(text)
        except ValueError as err:
            message = f"{verb}: {name} {text!r}: expected {kind.__name__}"
            raise AgentError("bad_request", message) from err
    return Call(Path(root) if root else Path(sys.argv[0]).resolve().parents[1], verb, given)


def split(argv: List[str]) -> Tuple[List[str], Dict[str, str]]:
    """Return the words of a command line, and the options by name with their text."""
    words: List[str] = []
    options: Dict[str, str] = {}
    rest = iter(argv)
    for word in rest:
        if not word.startswith("--"):
            words.append(word)
            continue
        name, has_value, value = word[2:].partition("=")
        if not has_value:
            value = "yes" if name in FLAGS else next(rest, "")
        options[name.replace("-", "_")] = value
    return words, options


def read_object() -> Json:
    """Read the JSON object on stdin."""
    try:
        value = json.loads(sys.stdin.buffer.read())
    except ValueError as err:
        raise AgentError("bad_request", f"stdin: not JSON: {err}") from err
    if not isinstance(value, dict):
        raise AgentError("bad_request", "stdin: expected a JSON object")
    return value


def answer(call: Call) -> Optional[Json]:
    """Run a verb; return what it prints, or None where it prints by itself."""
    module, function, needs = VERBS[call.verb]
    pod = Pod(call.root.resolve())
    if call.verb != "guard --watch":
        ensure_guard(pod)
    values = [argument(name, call, pod) for name in needs.split()]
    found = __import__(f"moola_remote.agent.{module}", fromlist=[function])
    result: Optional[Json] = getattr(found, function)(*values)
    return result


def argument(name: str, call: Call, pod: Pod) -> Any:
    """Return what `name` stands for in `VERBS`."""
    if name == "pod":
        return pod
    if name == "run":
        return pod.run(call.given["run"])
    if name == "object":
        return read_object()
    if name == "text":
        return sys.stdin.buffer.read().decode("utf-8")
    return call.given[name]
