"""RunPod's API key: from the environment, the system's keyring, or RunPod's own file.

It is never an argument, and is written nowhere by us. Who has it asks `ApiKey.reveal` where it is
sent; its repr, and so a log or a traceback, shows no more than its origin.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moola_remote.errors import ConfigError
from moola_remote.text.redact import remember

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib
logger = logging.getLogger(__name__)
VARIABLE = "RUNPOD_API_KEY"
# `keyring set moola-remote RUNPOD_API_KEY` puts it there.
SERVICE = "moola-remote"
FILE = Path(".runpod", "config.toml")


@dataclass(frozen=True)
class ApiKey:
    """An API key and where it was found."""

    origin: str
    _value: str = field(repr=False)

    def __post_init__(self) -> None:
        remember(self._value)

    def reveal(self) -> str:
        """Return the key itself, for the request that needs it."""
        return self._value


def find_api_key() -> ApiKey:
    """Return the first key of: the environment, the keyring, RunPod's own file.

    Raises:
        ConfigError: there is none, RunPod's file can't be read, or the key is no single word.
    """
    path = Path.home() / FILE
    sources: dict[str, Callable[[], str | None]] = {
        f"${VARIABLE}": lambda: os.environ.get(VARIABLE),
        "the keyring": _from_keyring,
        str(path): lambda: _from_file(path),
    }
    for origin, look in sources.items():
        value = (look() or "").strip()
        if value and not (value.isascii() and value.isprintable() and " " not in value):
            raise ConfigError(f"{origin}: expected an API key, got what is not one ASCII word")
        if value:
            return ApiKey(origin, value)
    raise ConfigError(
        f"RunPod: no API key, looked at {', '.join(sources)}",
        f"export {VARIABLE}=..., or keep it with: keyring set {SERVICE} {VARIABLE}",
    )


def _from_keyring() -> str | None:
    """None as well where the package is missing, or the machine has no keyring, or it is locked."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password(SERVICE, VARIABLE)
    except KeyringError as err:
        logger.info("keyring: %s", err)
        return None


def _from_file(path: Path) -> str | None:
    """``apikey`` at the top as runpodctl writes it, or ``api_key`` of a profile as the SDK does."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        # A parser's message may quote the line, and with it the key.
        why = err.strerror if isinstance(err, OSError) else "not TOML"
        raise ConfigError(f"{path}: can't be read, {why}", f"fix it, or set {VARIABLE}") from None
    return _key_of(table) or _key_of(table.get("default"))


def _key_of(table: Any) -> str | None:
    entries = table.items() if isinstance(table, dict) else ()
    found = [value for key, value in entries if key.lower().replace("_", "") == "apikey"]
    return found[0] if found and isinstance(found[0], str) else None
