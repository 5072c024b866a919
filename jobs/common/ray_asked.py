"""What a sweep over a Ray cluster is asked to do, and what a trial's result says of its goal."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moola_core.errors import ConfigError

# Set by jobs.ray_node for all that runs on its node: the folder of the code.
NODE = "MOOLA_RAY_NODE"
# Likewise: a folder that is removed with the node, whatever was killed before.
SCRATCH = "MOOLA_RAY_SCRATCH"
# Likewise on a worker: the process that keeps it.
WORKER = "MOOLA_RAY_WORKER"


class Asked(BaseModel):
    """What is asked for.

    Attributes:
        words: of every trial's command line.
        spaces: Optuna's distributions as JSON, by key; `seed_key` is that of ``--seed``.
        points: parameters that are tried first.
        first: the number of the first trial; a cluster before this one did those below.
        trials: how many.
        goal: a key of ``result.json``, or a score of the validation windows.
        mode: whether less of it is better.
        seed: of the optimiser.
        max_failures: how often a trial is begun again whose node, or process, was lost.
        env: variables of the driver that trials get on nodes that are not ours.
        is_own: the nodes were started for this sweep, and end with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: list[str]
    spaces: dict[str, str] = Field(min_length=1)
    points: list[dict[str, Any]] = []
    first: int = Field(default=0, ge=0)
    trials: int = Field(ge=1, le=10_000)
    goal: str
    mode: Literal["min", "max"]
    seed: int = 0
    seed_key: str = "seed"
    max_failures: int = Field(default=5, ge=0)
    env: list[str] = []
    is_own: bool = False

    def argv(self, params: dict[str, Any]) -> list[str]:
        """Return the words of a trial with these parameters."""
        words = list(self.words)
        for key, value in params.items():
            text = value if isinstance(value, str) else json.dumps(value)
            words += ["--seed", text] if key == self.seed_key else ["--set", f"{key}={text}"]
        return words


def read_asked(text: str) -> Asked:
    """Read what is asked for.

    Raises:
        ConfigError: it is not as it should be.
    """
    try:
        return Asked.model_validate_json(text)
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"])) or "asked"
        raise ConfigError(f"{where}: {first['msg'].lower()}") from err


def goal_of(path: Path, goal: str) -> float:
    """Return what a ``result.json`` says of the goal; NaN where that is no finite number."""
    try:
        result = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return math.nan
    scores = result.get("scores") if isinstance(result, dict) else None
    validation = scores.get("validation") if isinstance(scores, dict) else None
    for root in (result, scores, validation):
        found: Any = root
        for part in goal.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        value = found.get("value") if isinstance(found, dict) else found
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if math.isfinite(value):
            return float(value)
    return math.nan


def session_folder(port: int) -> Path:
    """Return a node's own folder, by its first port; sockets in it may have names of 107 bytes."""
    return Path(f"/tmp/moola-ray-{port}")  # noqa: S108


def finished_file(folder: Path) -> Path:
    """Return the file that ends a node of ours once it is there."""
    return folder / ".ray-finished"
