"""Settings of the project and of its pods: unknown keys refused, errors in one line."""

from __future__ import annotations

import difflib
import hashlib
import os
import reprlib
import sys
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moola_remote.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Strict(BaseModel):
    """The base of every settings class: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RunpodConfig(Strict):
    """What to rent of RunPod; prices are USD an hour of the whole pod, disks GB."""

    gpus: list[str] = Field(min_length=1, max_length=20)
    gpu_count: int = Field(default=1, ge=1, le=16)
    clouds: list[Literal["SECURE", "COMMUNITY"]] = Field(default=["SECURE"], min_length=1)
    data_centers: list[str] = []
    max_price: float = Field(gt=0)
    image: str
    cuda: str = Field(pattern=r"^\d+\.\d+$")
    # Requests for less are refused as if there were no capacity.
    disk_gb: int = Field(default=40, ge=20)
    volume_gb: int = Field(default=60, ge=10)
    volume_path: str = Field(default="/workspace", pattern=r"^/[^\x00\n]+$")
    lifetime_h: float = Field(default=24.0, gt=0, le=24 * 30)
    start_limit_min: float = Field(default=20.0, gt=0)
    idle_stop_min: float | None = Field(default=15.0, gt=0)
    owner: str | None = Field(default=None, pattern=r"^[a-z0-9]{1,24}$")
    api: str = Field(default="https://api.runpod.io", pattern=r"^https?://[^\s/]+/?$")


class PodConfig(Strict):
    """One file of ``configs/pods``; which keys a provider needs is told by the provider."""

    name: str
    provider: Literal["local", "ssh", "runpod"]
    host: str | None = None
    port: int = Field(default=22, ge=1, le=65535)
    user: str | None = None
    identity_file: Path | None = None
    host_key: str | None = Field(default=None, pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")
    root: str = Field(default="/workspace/moola", pattern=r"^/[^\x00\n]+$")
    python: str = "python3"
    price_per_hour: float | None = Field(default=None, ge=0)
    runpod: RunpodConfig | None = None
    project: Path | None = None

    @property
    def scope(self) -> str:
        """A digest of the project's folder: the pods' files of two projects may have one name."""
        if self.project is None:
            return ""
        return hashlib.sha256(os.fsencode(self.project.resolve())).hexdigest()[:12]


class OnFinish(Strict):
    """Shell commands for the end of every run: on the laptop that started it, and on the pod."""

    laptop: str | None = None
    pod: str | None = None


class Project(Strict):
    """``[tool.moola-remote]`` of the project's pyproject.toml."""

    folder: Path
    pod: str = "local"
    job: str = "jobs.train"
    recipe: str = "jade"
    recipes: Path = Path("configs/train")
    results: Path = Path("results")
    requirements: Path = Path("jobs/requirements.txt")
    data: dict[str, list[Path]] = {}
    on_finish: OnFinish = OnFinish()
    journals_mb: int = Field(default=2000, ge=1)

    @property
    def pods_folder(self) -> Path:
        """Where the pods' files are."""
        return self.folder / "configs" / "pods"

    @property
    def results_folder(self) -> Path:
        """Where fetched runs go."""
        return self.folder / self.results


def find_project(start: Path) -> Project:
    """The project that `start` lies in: the nearest folder whose pyproject.toml has our table.

    Raises:
        ConfigError: there is none, or its table has an unknown key or a wrong value.
    """
    for folder in [start, *start.parents]:
        path = folder / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            tables = tomllib.loads(_read(path))
        except (ValueError, RecursionError) as err:
            raise ConfigError(f"{path}: not TOML, {_one_line(err)}", "mend that line") from err
        tools = tables.get("tool")
        if isinstance(tools, dict) and "moola-remote" in tools:
            return _validate(Project, tools["moola-remote"], path, folder=folder)
    raise ConfigError(
        f"{start}: no project here or above, expected a pyproject.toml with [tool.moola-remote]",
        "change to the project's folder",
    )


def load_pod(project: Project, name: str) -> PodConfig:
    """The pod `name` of the project.

    Raises:
        ConfigError: no such file, broken YAML, an unknown key or a wrong value.
    """
    path = project.pods_folder / f"{name}.yaml"
    known = sorted(file.stem for file in project.pods_folder.glob("*.yaml"))
    if name not in known:
        raise ConfigError(
            f"pod {name!r}: unknown, expected one of {', '.join(known) or 'none'}",
            f"choose with --pod, or write {path}",
        )
    try:
        table = yaml.safe_load(_read(path))
    except BROKEN_YAML as err:
        raise ConfigError(f"{path}: not YAML, {_one_line(err)}", "mend that line") from err
    return _validate(PodConfig, table, path, name=name, project=project.folder)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as err:
        raise ConfigError(
            f"{path}: not UTF-8 text at byte {err.start}", "save it as UTF-8"
        ) from err
    except OSError as err:
        raise ConfigError(f"{path}: can't be read, {err.strerror}") from err


# PyYAML's own slips: a date that can't be, an empty !!int, !!bool x, !!timestamp x, too deep.
BROKEN_YAML = (
    *(yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError),
)
_Model = TypeVar("_Model", bound=Strict)


def _validate(model: type[_Model], table: Any, path: Path, **given: Any) -> _Model:
    """The settings of a file's `table`; `given` are the fields that no file sets."""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(table).__name__}")
    known = [name for name in model.model_fields if name not in given]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            cure = f"did you mean {near[0]}?" if near else "remove it"
            raise ConfigError(
                f"{path}: unknown key {_shown(key)}, expected one of {', '.join(known)}", cure
            )
    try:
        return model.model_validate({**table, **given})
    except ValidationError as err:
        first = err.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        got = f", got {_shown(first['input'])}" if first["type"] != "missing" else ""
        raise ConfigError(f"{path}: {key}: {first['msg'].lower()}{got}", "correct it") from err


def _shown(value: Any) -> str:
    """A value in a few words: YAML's aliases can make one that is endless when written out."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 100, 100
    return short.repr(value)


def _one_line(err: Exception) -> str:
    return " ".join(str(err).split())[:500]
