"""Values from outside, typed: msgspec reads them, and what is wrong is said here, in plain English.

A number in quotes is taken for the number (YAML makes a text of ``1e-3``).
"""

from __future__ import annotations

import json
import re
import reprlib
import threading
from abc import ABCMeta
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec

from moola_remote.text.sanitize import safe

Model = TypeVar("Model", bound=msgspec.Struct)
_Place: TypeAlias = "list[str | int]"  # the keys and indices that lead to a value
_MAX_KEY, _MAX_WRONG = 60, 400
# Models that msgspec has looked at: it does so at a first use, and where two threads do it at once
# one finds half of the other's work, which ends Python (0.22.0).
_looked_at: set[type[msgspec.Struct]] = set()
_looking = threading.Lock()


class WrongValueError(ValueError):
    """What is wrong with a value; safe to show.

    Args:
        say: returns `key` and `wrong`. It is called for one who asks: of a pod's lines there may be
            millions that are none, and are only counted.
    """

    def __init__(self, say: Callable[[], tuple[str, str]]) -> None:
        super().__init__()
        self._say = say

    @cached_property
    def _said(self) -> tuple[str, str]:
        key, wrong = self._say()
        return safe(key, _MAX_KEY), safe(wrong, _MAX_WRONG)

    @property
    def key(self) -> str:
        """Where, dotted; empty: the whole."""
        return self._said[0]

    @property
    def wrong(self) -> str:
        """What was expected, and what is there."""
        return self._said[1]

    def __str__(self) -> str:
        """Return both."""
        return f"{self.key}: {self.wrong}" if self.key else self.wrong


def read_by(read: Callable[[Any], Any], kind: type) -> Any:
    """Return a type of fields whose values `read` makes of what is there.

    Args:
        read: raises ValueError where it can't.
        kind: what it returns.
    """
    made = ABCMeta(read.__name__, (), {"read": staticmethod(read)})
    made.register(kind)
    return made


def keyed_by(read: Callable[[Any], str], kind: Any, max_length: int) -> Any:
    """Return a type of tables whose keys `read` makes, which msgspec leaves as they are.

    Args:
        read: raises ValueError where it can't.
        kind: of the values.
        max_length: entries.
    """
    reader = getattr(kind, "read", None) or partial(typed, kind)

    def entry(key: str, item: Any) -> Any:
        try:
            return reader(item)
        except WrongValueError as err:
            inner = err
            raise WrongValueError(lambda: (_joined(key, inner.key), inner.wrong)) from err
        except ValueError as err:
            wrong = str(err)
            raise WrongValueError(lambda: (key, f"{wrong}, got {shown(item)}")) from err

    def table(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError("expected keys and values")  # noqa: TRY004 - msgspec tells where
        if len(value) > max_length:
            raise ValueError(f"expected at most {max_length} entries")
        return {read(key): entry(key, item) for key, item in value.items()}

    return read_by(table, dict)


def _look_at(model: type[Model]) -> None:
    if model not in _looked_at:
        with _looking:
            msgspec.json.Decoder(model)
        _looked_at.add(model)


def typed(model: type[Model], value: Any) -> Model:
    """Return `value`, as JSON, YAML or TOML has it, as a struct.

    Raises:
        WrongValueError: it is none.
    """
    _look_at(model)
    try:
        return msgspec.convert(value, model, strict=False, dec_hook=_read)
    except (msgspec.ValidationError, RecursionError) as err:
        raise _fault(model, value, err) from err


def decoded(model: type[Model], content: bytes) -> Model:
    """Return strict JSON as a struct.

    Raises:
        WrongValueError: it is none.
    """
    _look_at(model)
    try:
        return msgspec.json.decode(content, type=model, strict=False, dec_hook=_read)
    except msgspec.ValidationError as err:
        try:
            value = read_json(content)
        except ValueError:  # more is wrong behind it
            raise WrongValueError(lambda: ("", "not JSON")) from err
        raise _fault(model, value, err) from err
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        wrong = str(err).removeprefix("JSON is malformed: ")
        raise WrongValueError(lambda: ("", f"not JSON, {wrong}")) from err


def read_json(content: bytes | str) -> Any:
    """Return what JSON holds, with NaN and infinity as Python writes them.

    Raises:
        ValueError: it is none, or nested too deep.
    """
    try:
        return json.loads(content)
    except RecursionError as err:
        raise ValueError("nested too deep") from err


def json_of(value: Any) -> bytes:
    """Return `value`, with structs and paths in it, as strict JSON: NaN and infinity are null."""
    return msgspec.json.encode(value, enc_hook=str)


def indented_json_of(value: Any) -> bytes:
    """Return the same for a file that people read: a line each key, and a newline at its end."""
    return msgspec.json.format(json_of(value), indent=1) + b"\n"


def plain(value: Any) -> Any:
    """Return `value`, with structs and paths in it, as tables, lists and texts."""
    return msgspec.to_builtins(value, enc_hook=str)


def shown(value: Any) -> str:
    """Return a short form of a value: one with YAML aliases can be endless when written out."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 100, 100
    return short.repr(value)


def _read(kind: type, value: Any) -> Any:
    if kind is not Path:
        return kind.read(value)  # type: ignore[attr-defined]
    if not isinstance(value, str | Path):
        raise ValueError("expected a path")  # noqa: TRY004 - msgspec tells where of no other
    return Path(value)


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "nothing",
    "array": "a list",
    "object": "keys and values",
}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def _fault(model: type, value: Any, err: Exception) -> WrongValueError:
    return WrongValueError(lambda: _said(model, value, err))


def _said(model: type, value: Any, err: Exception) -> tuple[str, str]:
    """Return what msgspec has said in our form: where, what was expected, what is there."""
    what, at, path = str(err).rpartition(" - at `$")
    place, there = _reached(value, path) if at else ([], value)
    if isinstance(err.__cause__, WrongValueError):
        return _joined(*place, err.__cause__.key), err.__cause__.wrong
    what = what if at else path
    if field := re.fullmatch(r"Object (missing required|contains unknown) field `(.*)`", what):
        known = [one.encode_name for kind in _kinds(model, place) for one in _of(kind, "fields")]
        place.append(field[2])
        is_missing = field[1].startswith("missing")
        wrong = "missing" if is_missing else f"unknown key, expected one of {', '.join(known)}"
    else:
        values = [repr(one) for kind in _kinds(model, place) for one in _of(kind, "values")]
        expected = f"expected {' or '.join(values)}" if values else _plain_english(what)
        wrong = f"{expected}, got {shown(there)}"
    return _joined(*place), wrong


def _reached(value: Any, path: str) -> tuple[_Place, Any]:
    """Return a path's keys and indices, and what is there; msgspec names no key of a table."""
    place: _Place = []
    with suppress(LookupError, TypeError):  # of a set, which counts as a list
        for index, name in re.findall(r"\[(\d+|\.\.\.)\]|\.([^.\[`]+)", path):
            if index == "...":
                break
            value = value[int(index) if index else name]
            place.append(int(index) if index else name)
    return place, value


def _joined(*parts: str | int) -> str:
    return ".".join(str(part) for part in parts if part != "")


def _plain_english(what: str) -> str:
    if bound := re.fullmatch(r"Expected `(\w+)`( of length)? ([<>]=?) (\S+)", what):
        kind, is_length, sign, limit = bound.groups()
        unit = "" if not is_length else " characters" if kind == "str" else " entries"
        return f"expected {_BOUNDS[sign]} {limit.removesuffix('.0')}{unit}"
    if pattern := re.fullmatch(r"(?s)Expected `str` matching regex (.*)", what):
        shorter = pattern[1].replace(r"\\", "\\").replace(r"\Z", "$")  # Python's escapes
        return f"expected text that matches {shorter}"
    if kinds := re.match(r"Expected `([^`]*)`", what):
        names = [_KINDS.get(name, name) for name in kinds[1].split(" | ")]
        return f"expected {' or '.join(names)}"
    return what[:1].lower() + what[1:]


def _kinds(model: type, place: _Place) -> list[Any]:
    """Return what a field may be, as msgspec describes types; several of a union."""
    from msgspec import inspect

    kinds: list[Any] = [inspect.type_info(model)]
    for part in place:
        kinds = [
            below
            for kind in kinds
            for below in (
                *_of(kind, "item_type"),
                *_of(kind, "value_type"),
                *(one.type for one in _of(kind, "fields") if one.encode_name == part),
            )
        ]
        kinds = [one for kind in kinds for one in (_of(kind, "types") or [kind])]
    return kinds


def _of(kind: Any, name: str) -> Any:
    """Return an attribute of a type as a sequence; empty of a type without."""
    found = getattr(kind, name, ())
    return found if isinstance(found, list | tuple) else [found]
