"""Types of values that come from a pod, read with limits."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from msgspec import Meta, Struct

from moola_remote.config.typed import WrongValueError, keyed_by, read_by, typed
from moola_remote.errors import ConfigError, TransferError
from moola_remote.text.sanitize import are_plain, safe

MAX_RESULT_BYTES = 4 * 2**20
MAX_NAME = 60
MAX_TEXT = 500
MAX_ENTRIES = 64  # tasks, scores, baselines, GPUs


def as_text(value: Any, limit: int = MAX_TEXT) -> str:
    """Return a text, cut and safe to show.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError("expected text")  # noqa: TRY004 - msgspec tells where of no other
    return safe(value, limit)


def as_name(value: Any) -> str:
    """Return a name, cut and safe to show; raises as `as_text` does."""
    return as_text(value, MAX_NAME)


def by_name(kind: Any, max_length: int = MAX_ENTRIES) -> Any:
    """Return a type of tables with names for keys and values of a `kind`."""
    return keyed_by(as_name, kind, max_length)


def names_by_name(max_length: int = MAX_ENTRIES) -> Any:
    """Return a type of tables of names, which are looked at one by one where some are not plain."""
    table = by_name(Name, max_length)

    def names(value: Any) -> dict[str, str]:
        with suppress(TypeError, AttributeError):  # what is wrong is said below
            if len(value) <= max_length and are_plain([*value, *value.values()], MAX_NAME):
                return dict(value)
        read: dict[str, str] = table.read(value)
        return read

    return read_by(names, dict)


def _number(value: Any) -> float:
    """Return a number; NaN for null."""
    if value is None:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as err:
        raise ValueError("expected a number") from err


def _scalars(value: Any) -> dict[str, float | str]:
    """Return settings of any depth without what is not a plain value."""
    table = value if isinstance(value, dict) else {}
    found = {key: item for key, item in table.items() if isinstance(item, str | int | float)}
    if len(found) > MAX_ENTRIES:
        raise ValueError(f"expected at most {MAX_ENTRIES} entries")
    return {
        as_name(key): as_text(item) if isinstance(item, str) else _number(item)
        for key, item in found.items()
    }


# To a reader they are plain values.
if TYPE_CHECKING:
    Text: TypeAlias = str
    Name: TypeAlias = str
    Number: TypeAlias = float
    Numbers: TypeAlias = dict[str, float]
    Settings: TypeAlias = dict[str, float | str]
else:
    Text = read_by(as_text, str)
    Name = read_by(as_name, str)
    Number = read_by(_number, float)
    Numbers = by_name(Number)
    Settings = read_by(_scalars, dict)
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Seed: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Remote(Struct, frozen=True):
    """The base of what comes from a pod: frozen, and keys that we don't know are passed over."""


def read_small(path: Path) -> bytes:
    """Return the bytes of a fetched file that is no table.

    Raises:
        ConfigError: it is missing or too large.
    """
    where = safe(str(path))
    try:
        with path.open("rb") as file:
            # No buffer of the limit's size: the system would map and clear it for each file.
            size = os.fstat(file.fileno()).st_size
            content = file.read(min(size, MAX_RESULT_BYTES) + 1)
    except OSError as err:
        raise ConfigError(f"{where}: can't be read, {err.strerror}") from err
    if len(content) > MAX_RESULT_BYTES:
        raise ConfigError(f"{where}: expected at most {MAX_RESULT_BYTES} bytes, got more")
    return content


Answer = TypeVar("Answer", bound=Remote)


def read_answer_as(model: type[Answer], answer: Any, verb: str) -> Answer:
    """Return the agent's `answer` to `verb`, typed.

    Raises:
        TransferError: a key is missing, or of another type or size.
    """
    try:
        return typed(model, answer)
    except WrongValueError as fault:
        raise TransferError(f"agent: {verb}: {fault.key or 'it'}: {fault.wrong}") from fault
