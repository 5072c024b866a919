"""A recipe as it was run (``config.yaml``), flat: a dotted key a value, both safe to show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moola_remote.screen import safe

MAX_KEYS = 400
MAX_DEPTH = 8
MAX_ITEMS = 64


def flat_config(content: bytes | str) -> dict[str, str]:
    """Every leaf of a YAML text, `MAX_KEYS` at most; lists of plain values are leaves.

    Raises:
        ValueError: it is no YAML.
    """
    import yaml

    from moola_remote.config import BROKEN_YAML

    try:
        table = yaml.safe_load(content)
    except BROKEN_YAML as err:
        raise ValueError("not YAML") from err
    flat: dict[str, str] = {}
    # Anchors may make a small text a large table, so it is left when there is enough.
    for key, value in _leaves("", table):
        if len(flat) == MAX_KEYS:
            break
        flat[key] = value
    return flat


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and prefix.count(".") < MAX_DEPTH:
        for key, item in value.items():
            yield from _leaves(f"{prefix}{safe(str(key), 60)}.", item)
    elif prefix:
        yield prefix[:-1], _words(value)


def _words(value: Any) -> str:
    if isinstance(value, list):
        items = (item if _is_plain(item) else "…" for item in value[:MAX_ITEMS])
        return ", ".join(map(_words, items))
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return safe(str(value), 200) if _is_plain(value) else "…"


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool) or value is None
