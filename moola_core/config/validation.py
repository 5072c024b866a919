"""Read a recipe, with errors of one line."""

from __future__ import annotations

import reprlib
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from moola_core.config.sections import Recipe
from moola_core.errors import ConfigError

# PyYAML's own slips: a date that can't be, an empty !!int, !!bool x, !!timestamp x, too deep.
BROKEN_YAML = (
    *(yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError),
)


def apply_setting(table: dict[str, Any], override: str) -> dict[str, Any]:
    """Return the table with one ``section.key=value`` of the command line applied.

    Raises:
        ConfigError: it has another form, its value is not YAML, or the section has no keys.
    """
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    where = f"--set {flat(override)}"
    if not (equals and dot and section and name):
        raise ConfigError(f"{where}: expected section.key=value, like training.epochs=40")
    try:
        value = yaml.safe_load(text)
    except BROKEN_YAML as err:
        raise ConfigError(f"{where}: not a YAML value, {one_line(err)}") from err
    old = table.get(section) or {}
    if not isinstance(old, dict):
        raise ConfigError(f"{where}: {flat(section)} has no keys; expected section.key=value")
    return {**table, section: {**old, name: value}}


def validate(table: dict[str, Any], where: str) -> Recipe:
    """Make a recipe of a table; `where` names it in errors.

    Raises:
        ConfigError: a key is unknown, or its value is of the wrong type or out of range.
    """
    try:
        return Recipe.model_validate(table)
    except ValidationError as err:
        raise ConfigError(f"{where}: {flat(first_error(err), 1000)}") from err


def first_error(err: ValidationError) -> str:
    """Return the first error of pydantic as one line, with the nearest key that exists."""
    first = err.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {key}, expected one of {', '.join(_siblings(first['loc']))}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if not key or first["type"] == "value_error":
        return f"{key}: {message}".removeprefix(": ")
    return f"{key}: {message}, got {_shown(first['input'])}"


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location[:-1]:
        inner = model.model_fields[str(part)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)


def _shown(value: Any) -> str:
    """Return a short form of a value: one with YAML aliases can be endless when written out."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 100, 100
    return short.repr(value)


def one_line(err: Exception) -> str:
    """Return an error as one line."""
    return flat(str(err), 500)


def flat(text: str, limit: int = 200) -> str:
    """Return `text` on one line, cut to `limit` characters."""
    return " ".join(text.split())[:limit]
