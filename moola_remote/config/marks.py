"""Types of what is read from outside, and the look that takes what is plainly of them.

For a `LightModel`, and for models of pydantic's too: each mark tells pydantic what it means.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

Look = Callable[[Any], Any]
# Each of these is a float too.
_WHOLE = 2**53


class Doubt(Exception):  # noqa: N818 - no error
    """A look does not suffice: pydantic has to decide."""


class Limits:
    """In `Annotated`: bounds of a number, a length or a pattern, as pydantic names them."""

    def __init__(self, **bounds: float | str) -> None:
        self.bounds = bounds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Return what pydantic makes of it."""
        return {**handler(source), **self.bounds}

    def wrap(self, look: Look) -> Look:
        """Return a look that also doubts what is not clearly within."""
        tests = [_TESTS[name](bound) for name, bound in self.bounds.items()]

        def within(value: Any) -> Any:
            found = look(value)
            for is_within in tests:
                if not is_within(found):
                    raise Doubt
            return found

        return within


# A pattern of pydantic's is one of Rust: its `$` is not before a newline.
_TESTS: dict[str, Callable[[Any], Callable[[Any], bool]]] = {
    "ge": lambda bound: lambda value: bool(value >= bound),
    "gt": lambda bound: lambda value: bool(value > bound),
    "le": lambda bound: lambda value: bool(value <= bound),
    "lt": lambda bound: lambda value: bool(value < bound),
    "min_length": lambda bound: lambda value: len(value) >= bound,
    "max_length": lambda bound: lambda value: len(value) <= bound,
    "pattern": lambda bound: (
        lambda value: value.isascii() and "\n" not in value and re.search(bound, value) is not None
    ),
}


class Before:
    """In `Annotated`: a function that is given what came, for the type to judge."""

    def __init__(self, function: Look) -> None:
        self.function = function

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Return what pydantic makes of it."""
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.function, handler(source))

    def wrap(self, look: Look) -> Look:
        """Return the look at what the function returns."""
        return lambda value: look(self.function(value))


class After:
    """In `Annotated`: a function that is given what the type has taken; ValueError refuses it."""

    def __init__(self, function: Look) -> None:
        self.function = function

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        """Return what pydantic makes of it."""
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.function, handler(source))

    def wrap(self, look: Look) -> Look:
        """Return a look that ends with the function."""
        return lambda value: self.function(look(value))


class Only:
    """In `Annotated`: a function that is given what came, in place of the type's own check."""

    def __init__(self, function: Look) -> None:
        self.function = function

    def __get_pydantic_core_schema__(self, *_: Any) -> Any:
        """Return what pydantic makes of it."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self.function)

    def wrap(self, look: Look) -> Look:  # noqa: ARG002 - as of the others
        """Return the function."""
        return self.function


def look_of(kind: Any) -> Look:
    """Return the function that takes a value of the type `kind`, and raises `Doubt` at others."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if hasattr(kind, "look"):
        own: Look = kind.look
        return own
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        look = look_of(args[0])
        for mark in args[1:]:
            look = mark.wrap(look)
        return look
    if origin is Literal:
        return lambda value: value if type(value) is str and value in args else _doubt(value)
    if origin is list:
        return _list_of(look_of(args[0]))
    if origin is dict:
        return _dict_of(look_of(args[0]), look_of(args[1]))
    if origin in (Union, types.UnionType) and len(args) == 2 and args[1] is type(None):
        inner = look_of(args[0])
        return lambda value: None if value is None else inner(value)
    return _doubt


def _doubt(_: Any) -> Any:
    raise Doubt


def _str(value: Any) -> Any:
    if type(value) is not str:
        raise Doubt
    if not value.isascii():
        value.encode()  # halves of a surrogate pair are no text: UnicodeEncodeError
    return value


def _int(value: Any) -> Any:
    return value if type(value) is int else _doubt(value)


def _float(value: Any) -> Any:
    if type(value) is int and -_WHOLE <= value <= _WHOLE:
        return float(value)
    return value if type(value) is float else _doubt(value)


def _bool(value: Any) -> Any:
    return value if type(value) is bool else _doubt(value)


def _path(value: Any) -> Any:
    return value if isinstance(value, Path) else Path(_str(value))


_PLAIN: dict[Any, Look] = {str: _str, int: _int, float: _float, bool: _bool, Path: _path}


def _list_of(look: Look) -> Look:
    return lambda value: list(map(look, value)) if type(value) is list else _doubt(value)


def _dict_of(key: Look, item: Look) -> Look:
    def take(value: Any) -> Any:
        if type(value) is not dict:
            raise Doubt
        return {key(name): item(held) for name, held in value.items()}

    return take
