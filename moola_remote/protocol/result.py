"""result.json: the scores of a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

from pydantic import Field, ValidationError
from pydantic_core import from_json

from moola_remote.errors import ConfigError
from moola_remote.protocol.types import (
    MAX_ENTRIES,
    MAX_TEXT,
    Count,
    Name,
    Number,
    Numbers,
    Remote,
    Seed,
    Settings,
    Text,
    fault_of,
    read_small,
)
from moola_remote.text.sanitize import safe

_Model = TypeVar("_Model", bound=Remote)


class Score(Remote):
    """A score with its bootstrap 95% interval; NaN where there is none."""

    value: Number
    low: Number = math.nan
    high: Number = math.nan


Scores: TypeAlias = Annotated[dict[Name, Score], Field(max_length=MAX_ENTRIES)]


class SplitScores(Remote):
    """Scores by split."""

    validation: Scores = {}
    test: Scores | None = None


class DataFile(Remote):
    """One file that a run was trained on."""

    path: Text = ""
    sha256: Name = ""
    windows: Count | None = None


class DataFiles(Remote):
    """The files that a run was trained on."""

    files: list[DataFile] = Field(default=[], max_length=1000)


class Result(Remote):
    """``result.json``: how good a run is, beside its baselines."""

    recipe: Name = ""
    seed: Seed | None = None
    device: Name = ""
    epochs: Count = 0
    seconds: Number = math.nan
    threshold: float | None = None
    decoder: Settings = {}
    scores: SplitScores = SplitScores()
    baselines: dict[Name, Scores] = Field(default={}, max_length=MAX_ENTRIES)
    sigma: Numbers = {}
    share: Numbers = {}
    num_parameters: Count | None = None
    data: DataFiles = DataFiles()


def load_result(path: Path) -> Result:
    """Read a fetched ``result.json``; raises as `load` does."""
    return load(path, Result)


def load(path: Path, model: type[_Model]) -> _Model:
    """Read a fetched JSON file.

    Raises:
        ConfigError: it is missing, too large, no JSON, or a key has a wrong type.
    """
    where, content = safe(str(path)), read_small(path)
    try:
        return model.model_validate(from_json(content))
    except ValidationError as err:
        key, wrong = fault_of(err)
        raise ConfigError(f"{where}: {key or 'the file'}: {wrong}") from err
    except ValueError as err:
        raise ConfigError(f"{where}: not JSON, {safe(str(err), MAX_TEXT)}") from err
