"""Types of values that come from a pod, read with limits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

import moola_remote.config.no_plugins  # noqa: F401
from moola_remote.errors import ConfigError, TransferError
from moola_remote.text.sanitize import safe

MAX_RESULT_BYTES = 4 * 2**20
MAX_NAME = 60
MAX_TEXT = 500
MAX_ENTRIES = 64  # tasks, scores, baselines, GPUs


def _number(value: Any) -> Any:
    return math.nan if value is None else value


def _scalars(value: Any) -> Any:
    """Return settings of any depth without what is not a plain value."""
    if not isinstance(value, dict):
        return {}
    return {key: item for key, item in value.items() if isinstance(item, str | int | float)}


Text: TypeAlias = Annotated[str, AfterValidator(lambda text: safe(text, MAX_TEXT))]
Name: TypeAlias = Annotated[str, AfterValidator(lambda text: safe(text, MAX_NAME))]
Number: TypeAlias = Annotated[float, BeforeValidator(_number)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=2**63)]
Seed: TypeAlias = Annotated[int, Field(ge=-(2**63), le=2**63)]
Numbers: TypeAlias = Annotated[dict[Name, Number], Field(max_length=MAX_ENTRIES)]
Settings: TypeAlias = Annotated[
    dict[Name, float | Text], BeforeValidator(_scalars), Field(max_length=MAX_ENTRIES)
]


class Remote(BaseModel):
    """The base of what comes from a pod: frozen, and keys that we don't know are passed over."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, protected_namespaces=(), defer_build=True
    )


def fault_of(err: ValidationError) -> tuple[str, str]:
    """Return the first wrong key (empty: the whole) and what is wrong with it; safe to show."""
    first = err.errors(include_url=False, include_context=False)[0]
    return safe(".".join(map(str, first["loc"])), MAX_NAME), safe(first["msg"], 120).lower()


def read_small(path: Path) -> bytes:
    """Return the bytes of a fetched file that is no table.

    Raises:
        ConfigError: it is missing or too large.
    """
    where = safe(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_RESULT_BYTES + 1)
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
        return model.model_validate(answer)
    except ValidationError as err:
        key, wrong = fault_of(err)
        raise TransferError(f"agent: {verb}: {key or 'it'}: {wrong}") from err
