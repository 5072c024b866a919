"""A JSON schema, as far as settings need one: the first thing in a value that is not as it says.

Keywords that are not known here are passed over, as the standard has it for those of others
(JSON Schema 2020-12, core, 4.3.1). Numbers in quotes count as numbers: YAML reads ``1e-3`` as text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moola_remote.config.nearest import nearest

MAX_DEPTH = 32
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "null": (type(None),),
}
_BOUNDS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "minimum": (lambda value, bound: value >= bound, "at least"),
    "maximum": (lambda value, bound: value <= bound, "at most"),
    "exclusiveMinimum": (lambda value, bound: value > bound, "more than"),
    "exclusiveMaximum": (lambda value, bound: value < bound, "less than"),
}


@dataclass(frozen=True)
class Fault:
    """Where a value is not as the schema says: a dotted key, what is wrong, and how to fix it."""

    key: str
    message: str
    cure: str = "correct it"

    def __str__(self) -> str:
        return f"{self.key}: {self.message}".removeprefix(": ")


def first_fault(schema: Mapping[str, Any], value: Any) -> Fault | None:
    """Return the first fault of `value`; None where it is as `schema` says.

    Raises:
        ValueError: the schema is none, or refers to what it has not.
    """
    if not isinstance(schema, Mapping):
        raise ValueError("expected an object")  # noqa: TRY004 - of a file's content
    return next(_faults(schema, value, "", schema, MAX_DEPTH), None)


def _faults(
    schema: Mapping[str, Any], value: Any, key: str, top: Mapping[str, Any], depth: int
) -> Iterator[Fault]:
    schema = _resolved(schema, top)
    if depth == 0:
        yield Fault(key, "is nested too deep")
        return
    options = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(options, list):
        found = [next(_faults(one, value, key, top, depth - 1), None) for one in options]
        if all(found):
            # A fault of the intended type is more helpful than "or null".
            yield next((one for one in found if one and one.key != key), found[0]) or Fault(key, "")
            return
    fault = _own_fault(schema, value, key)
    if fault:
        yield fault
    elif isinstance(value, dict):
        yield from _of_object(schema, value, key, top, depth)
    elif isinstance(value, list | tuple):
        items, first = schema.get("items"), schema.get("prefixItems") or []
        for index, item in enumerate(value):
            inner = first[index] if index < len(first) else items
            if isinstance(inner, dict):
                yield from _faults(inner, item, f"{key}.{index}", top, depth - 1)


def _resolved(schema: Mapping[str, Any], top: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = None
    for _ in range(MAX_DEPTH):
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        found: Any = top
        for part in reference.removeprefix("#/").split("/"):
            found = found.get(part) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise ValueError(f"{reference} is not there")  # noqa: TRY004 - of the schema
        schema = found
    raise ValueError(f"{reference} refers to itself")


def _of_object(
    schema: Mapping[str, Any],
    value: Mapping[str, Any],
    key: str,
    top: Mapping[str, Any],
    depth: int,
) -> Iterator[Fault]:
    known = schema.get("properties") or {}
    others = schema.get("additionalProperties", True)
    prefix = f"{key}." if key else ""
    for name, item in value.items():
        if name in known:
            yield from _faults(known[name], item, f"{prefix}{name}", top, depth - 1)
        elif others is False:
            near = nearest(str(name), list(known))
            cure = f"did you mean {prefix}{near}?" if near else "remove it"
            expected = ", ".join(known) or "none"
            yield Fault("", f"unknown key {prefix}{name}, expected one of {expected}", cure)
        elif isinstance(others, dict):
            yield from _faults(others, item, f"{prefix}{name}", top, depth - 1)
    for name in schema.get("required") or []:
        if name not in value:
            yield Fault(f"{prefix}{name}", "is missing", "add it")


def _own_fault(schema: Mapping[str, Any], value: Any, key: str) -> Fault | None:
    """Return what is wrong with the value itself, and not with what is in it."""
    shown = f"got {_shown(value)}"
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is_of(kind, value) for kind in kinds):
        return Fault(key, f"expected {' or '.join(map(str, kinds))}, {shown}")
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
    if choices and value not in choices:
        return Fault(key, f"expected one of {', '.join(map(str, choices))}, {shown}")
    number = _number(value)
    for word, (holds, says) in _BOUNDS.items():
        if word in schema and number is not None and not holds(number, schema[word]):
            return Fault(key, f"expected {says} {schema[word]}, {shown}")
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return Fault(key, f"expected a text like {schema['pattern']}, {shown}")
    if isinstance(value, str | list | tuple):
        unit = ("Length", "characters") if isinstance(value, str) else ("Items", "of them")
        least, most = schema.get(f"min{unit[0]}", 0), schema.get(f"max{unit[0]}", len(value))
        if not least <= len(value) <= most:
            return Fault(key, f"expected {least} to {most} {unit[1]}, got {len(value)}")
    return None


def _is_of(kind: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
    if kind in ("number", "integer"):
        number = _number(value)
        return number is not None and (kind == "number" or number == int(number))
    return isinstance(value, _TYPES.get(kind, (object,)))


def _number(value: Any) -> float | None:
    """Return the finite number that a value is, or that stands in quotes."""
    try:
        number = float(value) if isinstance(value, int | float | str) else float("nan")
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
