"""result.json: the scores of a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

from msgspec import Meta

from moola_remote.config.typed import WrongValueError, read_json, typed
from moola_remote.errors import ConfigError
from moola_remote.protocol.types import (
    MAX_TEXT,
    Count,
    Name,
    Number,
    Numbers,
    Remote,
    Seed,
    Settings,
    Text,
    by_name,
    read_small,
)
from moola_remote.text.sanitize import safe

_Model = TypeVar("_Model", bound=Remote)


class Score(Remote, frozen=True):
    """A score with its bootstrap 95% interval; NaN where there is none."""

    value: Number
    low: Number = math.nan
    high: Number = math.nan


if TYPE_CHECKING:
    Scores: TypeAlias = dict[str, Score]
    Baselines: TypeAlias = dict[str, Scores]
else:
    Scores = by_name(Score)
    Baselines = by_name(Scores)


class SplitScores(Remote, frozen=True):
    """Scores by split."""

    validation: Scores = {}
    test: Scores | None = None


class DataFile(Remote, frozen=True):
    """One file that a run was trained on."""

    path: Text = ""
    sha256: Name = ""
    windows: Count | None = None


class DataFiles(Remote, frozen=True):
    """The files that a run was trained on."""

    files: Annotated[list[DataFile], Meta(max_length=1000)] = []


class Result(Remote, frozen=True):
    """``result.json``: how good a run is, beside its baselines."""

    recipe: Name = ""
    seed: Seed | None = None
    device: Name = ""
    epochs: Count = 0
    seconds: Number = math.nan
    threshold: float | None = None
    decoder: Settings = {}
    scores: SplitScores = SplitScores()
    baselines: Baselines = {}
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
        return typed(model, read_json(content))
    except WrongValueError as fault:
        raise ConfigError(f"{where}: {fault.key or 'the file'}: {fault.wrong}") from fault
    except ValueError as err:
        raise ConfigError(f"{where}: not JSON, {safe(str(err), MAX_TEXT)}") from err
