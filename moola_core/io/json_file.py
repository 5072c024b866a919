"""JSON that may come from a stranger's machine: of bounded size and depth, and typed."""

from __future__ import annotations

import codecs
import json
import math
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from moola_core.io.atomic import replacing

SCHEMA = 1


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON that any reader takes: what is not a finite number becomes null."""
    return json.dumps(_without_nan(value), indent=indent, allow_nan=False)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace `path` by `value` with the schema's number, at once or not at all."""
    text = to_json({"schema": SCHEMA, **value}, indent=1) + "\n"
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


MAX_BYTES = 1 << 24


class Written(BaseModel):
    """The base of what a run has written: keys that we don't know are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


Model = TypeVar("Model", bound=Written)


def read_json(path: Path, model: type[Model]) -> Model:
    """Return the object in a file of at most `MAX_BYTES`.

    Raises:
        OSError: it can't be read.
        ValueError: it is larger, no JSON, too deep, or a key is missing or of another type.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path.name}: expected at most {MAX_BYTES} bytes, got more")
    return model.model_validate_json(data.removeprefix(codecs.BOM_UTF8))
