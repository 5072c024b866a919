"""A recipe as it was run (``config.yaml``), flat: a dotted key a value, both safe to show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moola_remote.text.sanitize import safe

MAX_KEYS = 400
MAX_DEPTH = 8
MAX_ITEMS = 64


def flat_config(content: bytes | str) -> dict[str, str]:
    """Every leaf of a YAML text, `MAX_KEYS` at most; lists are leaves, also those of flat tables.

    Raises:
        ValueError: it is no YAML.
    """
    import yaml

    from moola_remote.config.settings import BROKEN_YAML

    # libyaml is 13 times as quick, and refuses what is nested too deep; some builds are without it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        table = yaml.load(content, Loader=loader)  # noqa: S506 - both are safe loaders
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
    return ", ".join(map(_item, value[:MAX_ITEMS])) if isinstance(value, list) else _plain(value)


def _item(value: Any) -> str:
    """Of a list: a plain value, or a table of such as ``(kind sma, bars 30)``."""
    if not isinstance(value, dict):
        return _plain(value)
    pairs = list(value.items())[:MAX_ITEMS]
    return f"({', '.join(f'{safe(str(key), 60)} {_plain(item)}' for key, item in pairs)})"


def _plain(value: Any) -> str:
    """Return a value in a word; what is deeper is left out."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return safe(str(value), 200) if isinstance(value, str | int | float) else "…"
