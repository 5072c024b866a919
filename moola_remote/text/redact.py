"""Secret values are struck out of whatever is printed, logged or kept for a report.

Known are the values of environment variables whose names say so, and those that were `remember`ed:
keys from a keyring or a file, and a run's secrets.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

# A shorter value would be struck out of half of all words.
SHORTEST = 6
STRUCK = "***"
_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_WORDS = re.compile(r"(?i)((?:key|token|secret|password|bearer)['\"]?\s*[=: ]\s*)\S{6,}")
_remembered: set[str] = set()


def remember(value: str) -> None:
    """From now on `value` is struck out."""
    if len(value) >= SHORTEST:
        _remembered.add(value)


def strike(text: str) -> str:
    """`text` without secret values."""
    named = {value for name, value in os.environ.items() if _NAMES.search(name)}
    secrets = {value for value in named | _remembered if len(value) >= SHORTEST}
    # A traceback quotes as Python does, an answer as JSON does.
    secrets |= {quoted(value)[1:-1] for value in secrets for quoted in (repr, json.dumps)}
    for value in sorted(secrets, key=len, reverse=True):  # one may hold another
        text = text.replace(value, STRUCK)
    return text


def redact(text: str) -> str:
    """`text` as it may be sent to strangers: also without what looks secret, and the home folder.

    >>> redact("token=abcdefgh next")
    'token=*** next'
    """
    return _WORDS.sub(rf"\1{STRUCK}", strike(text).replace(str(Path.home()), "~"))
