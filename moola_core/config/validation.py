"""Read a recipe, with errors of one line."""

from __future__ import annotations

import reprlib
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from moola_core.config.sections import Recipe
from moola_core.errors import ConfigError

# PyYAML's own slips: a date that can't be, an empty !!int, !!bool x, !!timestamp x, too deep.
_BROKEN_YAML = (
    *(yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError),
)


def _set(table: dict[str, Any], override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    where = f"--set {_flat(override)}"
    if not (equals and dot and section and name):
        raise ConfigError(f"{where}: expected section.key=value, like training.epochs=40")
    try:
        value = yaml.safe_load(text)
    except _BROKEN_YAML as err:
        raise ConfigError(f"{where}: not a YAML value, {_one_line(err)}") from err
    old = table.get(section) or {}
    if not isinstance(old, dict):
        raise ConfigError(f"{where}: {_flat(section)} has no keys; expected section.key=value")
    return {**table, section: {**old, name: value}}


def _validate(table: dict[str, Any], where: str) -> Recipe:
    try:
        return Recipe.model_validate(table)
    except ValidationError as err:
        raise ConfigError(f"{where}: {_flat(_first_error(err), 1000)}") from err


def _first_error(err: ValidationError) -> str:
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
    """A value in a few words: YAML's aliases can make one that is endless when written out."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 100, 100
    return short.repr(value)


def _one_line(err: Exception) -> str:
    return _flat(str(err), 500)


def _flat(text: str, limit: int = 200) -> str:
    return " ".join(text.split())[:limit]
