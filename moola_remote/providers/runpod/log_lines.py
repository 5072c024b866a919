"""What the two logs of a pod say: how far its start is, why it fails, which host keys it has.

The texts are those of Docker, of NVIDIA's container toolkit, and of the official images' start.sh.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

_KEY_LINE = re.compile(r"\d+ (SHA256:[A-Za-z0-9+/]{43}) \S+ \((\w+)\)")
_MARKS = re.compile(r"SSH host keys:|\w+ key fingerprint:|Key: \S+")
_PULLED = re.compile(r"[0-9a-f]{12} ")
# A part of the line, what it means, what to do.
_FATAL = (
    ("unsatisfied condition: cuda", "its host's driver is older than the image's CUDA"),
    ("toomanyrequests", "Docker Hub refuses the image: too many pulls from this host"),
    ("manifest unknown", "there is no such image"),
    ("pull access denied", "there is no such image, or it is private"),
    ("cannot be mapped to a host id", "its host can't unpack the image"),
    ("layer does not exist", "its host can't unpack the image"),
    ("no space left on device", "its host's disk is too small for the image"),
    ("error starting container", "its container can't be started"),
)


def host_key(lines: Sequence[str]) -> str | None:
    """Return the fingerprint of the last ED25519 key in a container log; None without one.

    Only a line right after start.sh's own heading counts: a job may print anything.
    """
    found = None
    for before, line in itertools.pairwise(lines):
        key = _KEY_LINE.fullmatch(line.strip())
        if key and key[2] == "ED25519" and _MARKS.fullmatch(before.strip()):
            found = key[1]
    return found


def failure(lines: Sequence[str]) -> str | None:
    """Return why a start can't succeed, by a system log; None where nothing says so."""
    for line in reversed(lines):
        for part, meaning in _FATAL:
            if part in line.lower():
                return f"{meaning} ({line.strip()[-200:]})"
    return None


def progress(lines: Sequence[str]) -> str:
    """Return how far a start is, in a word or two, by a system log."""
    pulled = sum(1 for line in lines if "Pull complete" in line)
    for line in reversed(lines):
        text = line.strip()
        if text.startswith("start container"):
            return "container started, no SSH address yet"
        if text.startswith(("Status:", "Digest:")):
            return "image is there"
        if _PULLED.match(text):
            layers = f", {pulled} layers done" if pulled else ""
            return f"{text.split(maxsplit=1)[1].split('[')[0].strip().lower()}{layers}"
        if "Pulling from" in text:
            return "pulling the image"
        if text.startswith("create container"):
            return "creating the container"
    return "waiting for a machine"
