"""The series to predict, what is done of them, and how they are shared out."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct, field

from moola_remote.config.typed import WrongValueError, decoded, indented_json_of
from moola_remote.errors import ConfigError
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable
from moola_remote.files.hashing import HashCache, sha256_of

INDEX = "index.json"


@dataclass(frozen=True)
class Series:
    """A file of bars; its result is named by `name`, and `given` is its path as the user has it."""

    name: str
    path: Path
    size: int
    sha256: str
    given: Path


class Done(Struct):
    """What a result was made of, and its own hash."""

    bars_sha256: str
    model: str
    options: list[str]
    spans_sha256: str
    run_id: str


class Begun(Struct):
    """A run that was begun, noted before it was started; ``names`` are its series."""

    run_id: str
    pod: str
    names: list[str]


class Index(Struct):
    """``index.json`` beside the results."""

    schema_version: int = field(default=1, name="schema")
    done: dict[str, Done] = {}
    begun: list[Begun] = []
    failed: dict[str, str] = {}


@dataclass(frozen=True)
class Work:
    """What every task has in common: the digest of the model, and the job's options."""

    model: str
    options: tuple[str, ...]


def find_series(patterns: Sequence[str], cache: Path | None = None) -> list[Series]:
    """Return the files that patterns name, each once, by name.

    Args:
        patterns: paths, or shell patterns.
        cache: remembers hashes of files that did not change.

    Raises:
        ConfigError: there are none, or two have one name.
    """
    # Path.glob takes no absolute pattern.
    named = (glob.glob(pattern, recursive=True) for pattern in patterns)  # noqa: PTH207
    paths = sorted({path for paths in named for path in paths})
    hashes = HashCache(cache)
    found: dict[str, Series] = {}
    for path in map(Path, paths):
        if not path.is_file():
            continue
        if path.stem in found:
            raise ConfigError(
                f"{path}: {found[path.stem].path} has the same name; expected each name once",
                "predict them into different folders",
            )
        real = path.resolve()
        try:
            size, digest = hashes.sha256_of(real, real.lstat())
        except OSError as err:
            raise ConfigError(f"{path}: can't be read, {err.strerror or err}") from err
        found[path.stem] = Series(path.stem, real, size, digest, path)
    hashes.save()
    if not found:
        raise ConfigError(f"--bars {' '.join(patterns)}: no such file")
    return [found[name] for name in sorted(found)]


def require_other_folder(out: Path, series: Sequence[Series]) -> None:
    """Refuse to write results over the series themselves, or over files that are no results.

    Raises:
        ConfigError: a result would have the name of its series, in the same folder, or of a file in
            a folder without an index.
    """
    is_new = not (out / INDEX).exists()
    for one in series:
        result = out / f"{one.name}.parquet"
        if result.exists() and result.samefile(one.path):
            raise ConfigError(
                f"--out {out}: {one.given} is a series, which its spans would replace",
                "name another folder",
            )
        if is_new and result.exists():
            raise ConfigError(
                f"--out {out}: {result.name} in it is no result of predict, and would be replaced",
                "name another folder",
            )


def read_index(out: Path) -> Index:
    """Read ``index.json``; empty where there is none.

    Raises:
        ConfigError: it is none of ours.
    """
    try:
        return decoded(Index, (out / INDEX).read_bytes())
    except FileNotFoundError:
        return Index()
    except (OSError, WrongValueError) as err:
        raise ConfigError(
            f"{out / INDEX}: not an index of predictions", "name another --out"
        ) from err


def write_index(out: Path, index: Index) -> None:
    """Replace ``index.json``.

    Raises:
        LimitError: it can't be written.
    """
    try:
        atomic.write(out / INDEX, indented_json_of(index))
    except OSError as err:
        raise unwritable(out / INDEX, err) from err


def results_in(folder: Path, out: Path, series: Sequence[Series]) -> list[str]:
    """Return where in `folder` the index and the results are, which is no code of a project's."""
    top, out = folder.resolve(), out.resolve()
    if not out.is_relative_to(top):
        return []
    names = [INDEX, *(f"{one.name}.parquet" for one in series)]
    return [(out / name).relative_to(top).as_posix() for name in names]


def to_do(series: Sequence[Series], index: Index, work: Work, out: Path) -> list[Series]:
    """Return the series whose result is missing, or was made of other bars, model or options."""
    return [one for one in series if not _is_done(one, index.done.get(one.name), work, out)]


def _is_done(one: Series, done: Done | None, work: Work, out: Path) -> bool:
    if done is None or done.bars_sha256 != one.sha256 or done.model != work.model:
        return False
    if tuple(done.options) != work.options:
        return False
    try:
        return sha256_of(out / f"{one.name}.parquet")[1] == done.spans_sha256
    except OSError:
        return False


def share_out(series: Sequence[Series], pods: Sequence[str]) -> Mapping[str, list[Series]]:
    """Give each pod about as many bytes of series: the largest first, to the pod with least."""
    shares: dict[str, list[Series]] = {pod: [] for pod in pods}
    for one in sorted(series, key=lambda one: (-one.size, one.name)):
        least = min(pods, key=lambda pod: sum(other.size for other in shares[pod]))
        shares[least].append(one)
    return {pod: share for pod, share in shares.items() if share}
