"""Tables of names from a pod: the way for plain ones reads what the way for all reads."""

from __future__ import annotations

from typing import Any

import pytest

from moola_remote.config.typed import WrongValueError, typed
from moola_remote.protocol.types import MAX_NAME, Name, Remote, by_name, names_by_name

One: Any = by_name(Name, 3)
Whole: Any = names_by_name(3)


class ByOne(Remote, frozen=True):
    names: One


class AtOnce(Remote, frozen=True):
    names: Whole


def _read(model: type[Any], names: object) -> object:
    try:
        return typed(model, {"names": names}).names
    except WrongValueError as err:
        return str(err)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({}, {}),
        ({"torch": "2.13.0+cpu"}, {"torch": "2.13.0+cpu"}),
        ({"a": "x" * MAX_NAME}, {"a": "x" * MAX_NAME}),
        ({"a": "x" * (MAX_NAME + 1)}, {"a": "x" * (MAX_NAME - 1) + "…"}),
        ({"y" * (MAX_NAME + 1): "1"}, {"y" * (MAX_NAME - 1) + "…": "1"}),
        ({"a": "1\x1b[31m"}, {"a": "1\\x1b[31m"}),
        ({"a\nb": "1"}, {"a\\nb": "1"}),
        ({"ä": "ü\u202e"}, {"ä": "ü\\u202e"}),
        ({"a": 1}, "names.a: expected text, got 1"),
        ({"a": None}, "names.a: expected text, got None"),
        ({1: "a"}, "names: expected text, got {1: 'a'}"),
        (["a"], "names: expected keys and values, got ['a']"),
        ("text", "names: expected keys and values, got 'text'"),
        (dict.fromkeys("abcd", "1"), None),
    ],
)
def test_a_table_of_names(names: object, expected: object) -> None:
    read = _read(AtOnce, names)
    assert read == _read(ByOne, names)
    if expected is None:
        assert "at most 3 entries" in str(read)
    else:
        assert read == expected
