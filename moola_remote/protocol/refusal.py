"""Refusals of the agent as errors of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moola_remote.errors import (
    ConfigError,
    LimitError,
    MoolaError,
    NoCheckpointError,
    RunLostError,
    TransferError,
    UnknownRunError,
    UnreachableError,
)
from moola_remote.text.sanitize import safe

MAX_LINE = 2000


CURES = {
    "unknown_run": "see them with: moola-remote runs",
    "different": "send it again with: moola-remote deploy",
    "no_checkpoint": "start over with: moola-remote train",
    "disk_full": "make room on the pod, for example with: moola-remote clean",
    "io": "see to that file there, its owner and disk; or name another `root` in the pod's file",
}
MAKE_WRITABLE = "make its disk writable there, or name another `root` in the pod's file"
# Of "environment", which has other causes too.
NOT_INSTALLED = "installing packages failed"
PACKAGES = "correct what the project declares; moola-remote config show names the file"

# As a system and its programs end their line; a path before it may have such words: /workspace.
_READ_ONLY = "Read-only file system"
_FULL = ("no space left on device", "quota exceeded", "file too large")

# How the agent begins what is about its machine.
_OF_POD = "pod: "

_ERRORS: dict[str, type[MoolaError]] = {
    "unknown_run": UnknownRunError,
    "bad_request": ConfigError,
    "environment": ConfigError,
    "different": TransferError,
    "not_ended": LimitError,
    "busy": LimitError,
    "disk_full": LimitError,
    "bad_run": RunLostError,
    "no_checkpoint": NoCheckpointError,
}


def refusal(answer: Mapping[str, Any], where: str = "pod") -> MoolaError:
    """Return what the agent refuses, as an error of ours; it does not know the pod's name."""
    code = word_of(answer.get("error"))
    message = safe(word_of(answer.get("message")), MAX_LINE) or "refused by the pod without a word"
    if message.startswith(_OF_POD):
        message = f"{where}: {message[len(_OF_POD) :]}"
    names = [*_names(answer, "missing"), *_names(answer, "different")]
    if names:
        message += f": {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
    cure = CURES.get(code, "")
    if message.startswith(NOT_INSTALLED):
        cure = PACKAGES
    elif message.endswith(_READ_ONLY):
        cure = MAKE_WRITABLE
    err = _ERRORS.get(code, UnreachableError)(message, cure)
    err.is_of_pod = True
    return err


def _names(answer: Mapping[str, Any], key: str) -> list[str]:
    names = answer.get(key)
    return [safe(word_of(name), 100) for name in names] if isinstance(names, list) else []


def word_of(value: Any) -> str:
    """Return a string of the pod's; anything else, however deep, is only named as not a string."""
    return value if isinstance(value, str) else f"no text but {type(value).__name__}"


def says_full(words: str) -> bool:
    """Return whether a pod's words are those of a full disk, a quota or a limit of size."""
    return words.lower().endswith(_FULL)


def last_words(stderr: bytes) -> str:
    """Return the last line of an error, safe to show."""
    lines = stderr[-4096:].decode("utf-8", "replace").strip().splitlines()
    return safe(lines[-1], MAX_LINE) if lines else ""
