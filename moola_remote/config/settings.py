"""Settings of the project and of its pods: unknown keys refused, errors in one line."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import yaml
from msgspec import Meta, Struct, field

from moola_remote.config.nearest import meant
from moola_remote.config.text import as_text
from moola_remote.config.typed import Model, WrongValueError, keyed_by, read_by, shown, typed
from moola_remote.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


PYPROJECT = "pyproject.toml"
OWN_FILE = "moola-remote.toml"
TABLE = "[tool.moola-remote]"
# The pod that needs no file: on this machine.
LOCAL = "local"
# Of a second pod and more of one file.
NUMBER = r"[2-9]|[1-9]\d{1,2}"


def data_name(name: str) -> str:
    """Return `name`, which becomes a folder on the pod.

    Raises:
        ValueError: it can't.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError("expected a name of one folder")
    return name


def _own_folder(path: Any) -> Path:
    if not isinstance(path, str) or Path(path) in (Path(), Path("..")):
        raise ValueError("expected a folder of its own, such as results")
    return Path(path)


if TYPE_CHECKING:
    Data: TypeAlias = dict[str, list[Path]]
    OwnFolder: TypeAlias = Path
else:
    Data = keyed_by(data_name, list[Path], 1000)
    OwnFolder = read_by(_own_folder, Path)

# Python's $ lets a newline follow, \Z does not.
Cloud: TypeAlias = Literal["SECURE", "COMMUNITY"]
Positive: TypeAlias = Annotated[float, Meta(gt=0)]
AbsolutePath: TypeAlias = Annotated[str, Meta(pattern=r"^/[^\x00\n]+\Z")]


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """The base of every settings class: frozen, and a misspelt key is an error."""


class RunpodConfig(Strict, frozen=True, kw_only=True):
    """What to rent of RunPod; prices are USD an hour of the whole pod, disks GB."""

    gpus: Annotated[list[str], Meta(min_length=1, max_length=20)]
    gpu_count: Annotated[int, Meta(ge=1, le=16)] = 1
    clouds: Annotated[list[Cloud], Meta(min_length=1)] = field(default_factory=lambda: ["SECURE"])
    data_centers: list[str] = []
    # Pods in SECURE data centers that have it reach each other, at 100 Mbps.
    global_networking: bool = False
    max_price: Positive
    image: str
    cuda: Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]+\Z")]
    # Requests for less are refused as if there were no capacity.
    disk_gb: Annotated[int, Meta(ge=20)] = 40
    volume_gb: Annotated[int, Meta(ge=10)] = 60
    volume_path: AbsolutePath = "/workspace"
    lifetime_h: Annotated[float, Meta(gt=0, le=24 * 30)] = 24.0
    start_limit_min: Positive = 20.0
    idle_stop_min: Positive | None = 15.0
    owner: Annotated[str, Meta(pattern=r"^[a-z0-9]{1,24}\Z")] | None = None
    api: Annotated[str, Meta(pattern=r"^https?://[^\s/]+/?\Z")] = "https://api.runpod.io"


class PodConfig(Strict, frozen=True, kw_only=True):
    """One file of ``configs/pods``; the provider knows which keys it needs.

    `given` are the keys that the file has.
    """

    name: str
    provider: Literal["local", "ssh", "runpod"]
    host: str | None = None
    # What is None here, the user's SSH configuration decides.
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    user: str | None = None
    identity_file: Path | None = None
    # As of ssh's -o and -F.
    ssh_options: list[str] = []
    ssh_config: Path | None = None
    host_key: Annotated[str, Meta(pattern=r"^SHA256:[A-Za-z0-9+/]{43}\Z")] | None = None
    # What other pods reach it by, on any port: for `sweep --engine ray`.
    private_host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,253}\Z")] | None = None
    root: AbsolutePath = "/workspace/moola"
    python: str = "python3"
    price_per_hour: Annotated[float, Meta(ge=0)] | None = None
    runpod: RunpodConfig | None = None
    project: Path | None = None
    given: frozenset[str] = frozenset()

    @property
    def scope(self) -> str:
        """A digest of the project's folder: the pods' files of two projects may have one name."""
        if self.project is None:
            return ""
        return hashlib.sha256(os.fsencode(self.project.resolve())).hexdigest()[:12]


class OnFinish(Strict, frozen=True):
    """Shell commands for the end of every run: on the laptop that started it, and on the pod."""

    laptop: str | None = None
    pod: str | None = None


class Project(Strict, frozen=True):
    """``[tool.moola-remote]`` of pyproject.toml, or the whole of moola-remote.toml.

    `file` is None where there is neither, and all is taken for granted; `given` are its keys.
    """

    folder: Path
    file: Path | None = None
    pod: str = "local"
    job: str = "jobs.train"
    recipe: str = "span"
    recipes: Path = Path("configs/train")
    recipe_schema: Path | None = None
    results: OwnFolder = Path("results")
    requirements: Path | None = None
    extras: list[str] = []
    groups: list[str] = []
    constraints: Path | None = None
    torch: Literal["image", "project"] = "image"
    data: Data = {}
    on_finish: OnFinish = OnFinish()
    journals_mb: Annotated[int, Meta(ge=1)] = 2000
    # 0 keeps no connection to a pod open between two commands.
    keep_connection_s: Annotated[int, Meta(ge=0, le=86400)] = 300
    given: frozenset[str] = frozenset()

    @property
    def pods_folder(self) -> Path:
        """Where the pods' files are."""
        return self.folder / "configs" / "pods"

    @property
    def results_folder(self) -> Path:
        """Where fetched runs go."""
        return self.folder / self.results


def find_project(start: Path) -> Project:
    """Return the project that `start` lies in: the nearest folder with our table.

    Without a table it is the nearest folder with a pyproject.toml or a ``.git``, else `start`.

    Raises:
        ConfigError: the table has an unknown key or a wrong value; or without one, the folder is
            the user's home or the root of all files.
    """
    for folder in [start, *start.parents]:
        files = [path for name in (PYPROJECT, OWN_FILE) if (path := folder / name).is_file()]
        found = [(path, table) for path in files if (table := _our_table(path)) is not None]
        if len(found) > 1:
            raise ConfigError(
                f"{found[1][0]}: {TABLE} in pyproject.toml is there too, expected one of them",
                "remove one",
            )
        for path, table in found:
            return _validate(Project, table, path, folder=folder, file=path)
    folder = _folder_without_table(start)
    if folder in (Path.home(), Path(folder.anchor)):
        raise ConfigError(
            f"{folder}: no project here or above, and all of it would be sent; expected a folder "
            f"with code, a git repository, or a pyproject.toml with {TABLE}",
            "change to the project's folder",
        )
    return Project(folder=folder)


def _our_table(path: Path) -> Any:
    """Return what a file sets for us; None where it sets nothing."""
    try:
        tables = tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as err:
        raise ConfigError(f"{path}: not TOML, {one_line(err)}", "fix that line") from err
    if path.name == OWN_FILE:
        return tables
    tools = tables.get("tool")
    return tools.get("moola-remote") if isinstance(tools, dict) else None


def _folder_without_table(start: Path) -> Path:
    for folder in [start, *start.parents]:
        if (folder / PYPROJECT).is_file() or (folder / ".git").exists():
            return folder
    return start


def pod_names(project: Project) -> list[str]:
    """Return the pods that there are: a file each, and the local one."""
    return sorted({LOCAL, *(file.stem for file in project.pods_folder.glob("*.yaml"))})


def load_pod(project: Project, name: str) -> PodConfig:
    """Return the pod `name` of the project; ``a.2`` is a second pod of the file ``a.yaml``.

    Raises:
        ConfigError: no such file, broken YAML, an unknown key or a wrong value.
    """
    known = pod_names(project)
    file = name if name in known else base_of(name)
    path = project.pods_folder / f"{file}.yaml"
    if file == LOCAL and not path.is_file():
        return PodConfig(name=name, provider="local")
    if file not in known:
        where = f"{project.file}: " if name == project.pod else ""
        raise ConfigError(
            f"{where}pod {name!r}: unknown, expected one of {', '.join(known)}",
            meant(file, known, "choose one with --pod, or add one with: moola-remote pods add"),
        )
    try:
        table = yaml.safe_load(read_text(path))
    except BROKEN_YAML as err:
        raise ConfigError(f"{path}: not YAML, {one_line(err)}", "fix that line") from err
    config = _validate(PodConfig, table, path, name=name, project=project.folder)
    if config.provider == "ssh" and name != file:
        wrong = f"pod {name}: {path} is one machine, expected {file!r}"
        raise ConfigError(wrong, "add each machine of your own with: moola-remote pods add")
    return config


def base_of(name: str) -> str:
    """Return the file's name of a numbered pod: that of ``runpod-4090.2`` is ``runpod-4090``."""
    base, _, number = name.rpartition(".")
    return base if base and re.fullmatch(NUMBER, number) else name


def numbered(name: str, count: int) -> list[str]:
    """Return the names of `count` pods of one file: ``a``, ``a.2``, ``a.3``."""
    return [name, *(f"{name}.{number}" for number in range(2, count + 1))]


def read_text(path: Path) -> str:
    """Return the text of a settings file.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        return as_text(path, path.read_bytes())
    except OSError as err:
        raise ConfigError(f"{path}: can't be read, {err.strerror}") from err


# PyYAML's own slips: a date that can't be, an empty !!int, !!bool x, !!timestamp x, too deep.
BROKEN_YAML = (
    *(yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError),
)


def _validate(model: type[Model], table: Any, path: Path, **given: Any) -> Model:
    """Return the settings of a file's `table`; `given` are the fields that no file sets."""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(table).__name__}")
    known = [name for name in model.__struct_fields__ if name not in {*given, "given"}]
    for key in table:
        if key not in known:
            raise ConfigError(
                f"{path}: unknown key {shown(key)}, expected one of {', '.join(known)}",
                meant(str(key), known, "remove it"),
            )
    try:
        return typed(model, {**table, **given, "given": frozenset(table)})
    except WrongValueError as fault:
        raise ConfigError(f"{path}: {fault}", "correct it") from fault


def one_line(err: Exception) -> str:
    """Return an error of a library in one line, 500 characters at most."""
    return " ".join(str(err).split())[:500]
