"""JSON that may come from a stranger's machine: of bounded size and depth, and typed."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

MAX_BYTES = 1 << 24


class Written(BaseModel):
    """The base of what a run has written: keys that we don't know are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


Model = TypeVar("Model", bound=Written)


def read_json(path: Path, model: type[Model]) -> Model:
    """The object in a file of at most `MAX_BYTES`.

    Raises:
        OSError: it can't be read.
        ValueError: it is larger, no JSON, too deep, or a key is missing or of another type.
    """
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path.name}: expected at most {MAX_BYTES} bytes, got more")
    return model.model_validate_json(data)
