"""Spaces of a sweep: ``KEY=a..b``, ``KEY=log:a..b``, ``KEY=x,y,z``, and ranges of seeds."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

from moola_remote.errors import ConfigError

Value: TypeAlias = "int | float | str | bool | None"
MAX_STATIC = 10_000
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"(log:)?({_NUMBER})\.\.({_NUMBER})")
_INTEGER = re.compile(r"[+-]?\d+")
_WORDS: dict[str, Value] = {"true": True, "false": False, "null": None}
EXPECTED = "expected KEY=a..b, KEY=log:a..b or KEY=x,y,z"


@dataclass(frozen=True)
class Space:
    """The values that one key may take.

    Attributes:
        key: as the recipe or the command has it.
        kind: ``int`` and ``float`` are ranges with both ends, ``choice`` is a list.
        low: of a range.
        high: of a range.
        is_log: draw a range's logarithm evenly.
        choices: of a list, in order.
    """

    key: str
    kind: Literal["int", "float", "choice"]
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    choices: tuple[Value, ...] = ()

    def examples(self) -> list[Value]:
        """Return values that show whether a schema takes the space: ends, an inner one, all."""
        if self.kind == "choice":
            return list(self.choices)
        if self.kind == "int":
            return [int(self.low), int(self.high)]
        # No whole number: a key that takes whole numbers alone refuses it.
        inner = self.low + (self.high - self.low) * 0.38196601125
        return [self.low, self.high, inner]

    def __str__(self) -> str:
        """Return the space as it was typed."""
        if self.kind == "choice":
            return f"{self.key}={','.join(map(text_of, self.choices))}"
        ends = (int(self.low), int(self.high)) if self.kind == "int" else (self.low, self.high)
        return f"{self.key}={'log:' if self.is_log else ''}{ends[0]!r}..{ends[1]!r}"


def text_of(value: Value) -> str:
    """Return a value as a command line or ``--set`` has it."""
    for word, constant in _WORDS.items():
        if value is constant:
            return word
    return value if isinstance(value, str) else repr(value)


def read_space(text: str, option: str = "--try") -> Space:
    """Read ``KEY=SPACE``.

    Args:
        text: what was typed.
        option: names it in errors.

    Raises:
        ConfigError: it is no space, or an empty one.
    """
    key, equals, words = text.partition("=")
    key, words = key.strip(), words.strip()
    if not (key and equals and words):
        raise ConfigError(f"{option} {text}: {EXPECTED}")
    found = _RANGE.fullmatch(words)
    if found:
        return _range(key, found, f"{option} {text}")
    if ".." in words or words.startswith("log:"):
        raise ConfigError(f"{option} {text}: the ends are not numbers, {EXPECTED}")
    choices = tuple(_value(word.strip()) for word in words.split(","))
    if len(choices) < 2:
        raise ConfigError(
            f"{option} {text}: a single value is not a range", f"fix it with --set {text}"
        )
    if len(set(map(text_of, choices))) < len(choices):
        raise ConfigError(f"{option} {text}: a value is repeated, expected each once")
    return Space(key, "choice", choices=choices)


def _range(key: str, found: re.Match[str], where: str) -> Space:
    is_log, ends = bool(found[1]), (found[2], found[3])
    low, high = float(ends[0]), float(ends[1])
    if not (math.isfinite(high - low) and low < high):
        raise ConfigError(f"{where}: expected the lower end first, got {ends[0]}..{ends[1]}")
    if is_log and low <= 0:
        raise ConfigError(f"{where}: expected ends above 0 for log, got {ends[0]}")
    is_int = all(_INTEGER.fullmatch(end) for end in ends)
    return Space(key, "int" if is_int else "float", low, high, is_log)


def _value(word: str) -> Value:
    if word in _WORDS:
        return _WORDS[word]
    if _INTEGER.fullmatch(word):
        return int(word)
    return float(word) if re.fullmatch(_NUMBER, word) else word


def read_seeds(text: str) -> list[int]:
    """Read ``0..9`` or ``1,5,7``.

    Raises:
        ConfigError: it is neither, or only one.
    """
    found = re.fullmatch(r"(\d+)\.\.(\d+)", text)
    if found and int(found[2]) - int(found[1]) < MAX_STATIC:
        seeds = list(range(int(found[1]), int(found[2]) + 1))
    elif re.fullmatch(r"\d+(,\d+)+", text):
        seeds = list(dict.fromkeys(map(int, text.split(","))))
    else:
        raise ConfigError(f"--seeds {text}: expected 0..9 or 1,5,7")
    if len(seeds) < 2:
        raise ConfigError(f"--seeds {text}: expected two seeds at least")
    return seeds


def table_of(spaces: Sequence[Space]) -> list[dict[str, Value]]:
    """Return every combination of the choices of `spaces`, the last key changing fastest.

    Raises:
        ConfigError: one is no list, or there are too many combinations.
    """
    for space in spaces:
        if space.kind != "choice":
            raise ConfigError(
                f"--grid {space}: a range has infinitely many values, expected KEY=x,y,z",
                "draw from it with --try",
            )
    number = math.prod(len(space.choices) for space in spaces)
    if number > MAX_STATIC:
        raise ConfigError(f"--grid: {number} combinations, expected at most {MAX_STATIC}")
    keys = [space.key for space in spaces]
    rows = product(*(space.choices for space in spaces))
    return [dict(zip(keys, row, strict=True)) for row in rows]
