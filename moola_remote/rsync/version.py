"""Versions of rsync, this machine's, and the known holes of each."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache

from moola_remote.errors import ConfigError

OLDEST = (3, 1, 0)  # the first with --info=progress2
# 3.4.0 fixed CVE-2024-12084 to -12088 and -12747; a distribution may have patched an older one.
FIXED = (3, 4, 0)


def parse_version(text: str) -> tuple[int, ...] | None:
    """Return the version out of ``rsync --version``.

    >>> parse_version("rsync  version 3.2.7  protocol version 31")
    (3, 2, 7)
    """
    match = re.match(r"rsync\s+version v?(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in match.groups()) if match else None


@cache
def local_version() -> tuple[int, ...] | None:
    """Return the version of this machine's rsync; None if it is missing."""
    if shutil.which("rsync") is None:
        return None
    shown = subprocess.run(["rsync", "--version"], capture_output=True, text=True, check=False)
    return parse_version(shown.stdout)


def check_version(version: tuple[int, ...] | None) -> None:
    """Refuse to work with a missing or too old rsync on this machine.

    Raises:
        ConfigError: it is missing (None), or too old.
    """
    cure = "apt-get install rsync (macOS: brew install rsync)"
    if version is None:
        raise ConfigError("rsync: not found on this machine, or not the one of samba.org", cure)
    shown = ".".join(map(str, version))
    if version < OLDEST:
        raise ConfigError(
            f"rsync {shown}: too old, expected {'.'.join(map(str, OLDEST))} or newer", cure
        )


def known_holes(version: tuple[int, ...] | str | None) -> str | None:
    """Return a warning about an old rsync, this machine's or the pod's (as text), or None."""
    if isinstance(version, str):
        version = tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:3])
    if not version or version >= FIXED:
        return None
    shown, fixed = (".".join(map(str, one)) for one in (version, FIXED))
    return (
        f"rsync {shown}: known vulnerabilities before {fixed}, unless the distribution patched them"
    )
