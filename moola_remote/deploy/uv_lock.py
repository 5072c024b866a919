"""``uv.lock``: the list that uv itself makes of it, frozen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from moola_remote.deploy.bundled import Bundle
from moola_remote.deploy.credentials import with_index_credentials
from moola_remote.deploy.declared import PYPROJECT, Dependencies, Reader
from moola_remote.deploy.local_paths import parse_local
from moola_remote.deploy.pyproject import check_choice, read_installed
from moola_remote.deploy.requirements import logical_lines
from moola_remote.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TIMEOUT_S = 120.0
DEFAULT_INDEX = "--index-url https://pypi.org/simple"
# Of the user's shell: where packages come from, and where uv keeps what it has. Others name another
# project (UV_PROJECT), or contradict our options (UV_NO_SOURCES).
KEPT = frozenset(
    (
        *("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
        *("UV_INDEX_STRATEGY", "UV_CONFIG_FILE", "UV_NO_CONFIG", "UV_CACHE_DIR", "UV_NO_CACHE"),
    )
)
# What belongs to the image's torch, and goes with it.
TORCH = ("torch", "torchvision", "torchaudio")


def read_lock(
    path: PurePosixPath,
    read: Reader,
    *,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    variables: Mapping[str, str] = os.environ,
) -> Dependencies:
    """Return the packages of a lock, each with version and hashes, as uv would install them.

    The lock is not made again, and the group ``dev`` is left out unless `groups` has it. Members of
    a workspace, and other folders of the project, are imported from where they are.

    Raises:
        ConfigError: there is no uv, or it refuses the lock.
    """
    uv = find_uv()
    if uv is None:
        raise ConfigError(
            f"{path}: only uv can read it, and there is no uv on this machine",
            "pip install uv; or name another list of packages as `requirements`",
        )
    check_choice(path.parent / PYPROJECT, read, extras=extras, groups=groups)
    chosen = [word for name in extras for word in ("--extra", name)]
    chosen += [word for name in groups for word in ("--group", name)]
    chosen += [] if "dev" in groups else ["--no-dev"]
    with tempfile.TemporaryDirectory(prefix="moola-") as name:
        folder = Path(name)
        for file in (path, path.parent / PYPROJECT):
            text = read(file)
            if text is None:
                raise ConfigError(f"{file}: not there, expected it beside {path.name}", "uv lock")
            (folder / file.name).write_text(text, encoding="utf-8")
        bundle = Bundle(read)
        named = dict(_named_indexes(read(path.parent / PYPROJECT) or "", variables))
        whole = _placed(_export(uv, folder, path, chosen), path, bundle)
        pruned = [word for package in TORCH for word in ("--prune", package)]
        without = _placed(_export(uv, folder, path, [*chosen, *pruned]), path, bundle)
    words = [f"extra {name}" for name in extras] + [f"group {name}" for name in groups]
    return Dependencies(
        source=f"{path} ({', '.join(words)})" if words else str(path),
        requirements=with_index_credentials(whole, named, variables),
        is_locked=True,
        without_torch=with_index_credentials(without, named, variables),
        files=bundle.files,
        paths=tuple(_local_paths(path, read)),
    )


def _named_indexes(text: str, variables: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the address of each index that has a name, and the name."""
    for index in tomllib.loads(text).get("tool", {}).get("uv", {}).get("index", []):
        if "name" in index and "url" in index:
            yield index["url"], index["name"]
    for word in f"{variables.get('UV_INDEX', '')} {variables.get('UV_DEFAULT_INDEX', '')}".split():
        name, is_named, address = word.partition("=")
        if is_named and "://" not in name:
            yield address, name


def _local_paths(path: PurePosixPath, read: Reader) -> Iterator[str]:
    """Yield where the packages of a lock lie that are folders of the project."""
    packages = tomllib.loads(read(path) or "").get("package", [])
    for package in packages:
        source = package.get("source", {})
        for kind in ("editable", "virtual", "directory"):
            folder = PurePosixPath(str(source.get(kind, ".")))
            if folder != PurePosixPath() and not folder.is_absolute() and ".." not in folder.parts:
                yield from read_installed(path.parent / folder, read, ()).paths


def find_uv() -> str | None:
    """Return the program, of the user or beside our own Python."""
    beside = Path(sys.executable).with_name("uv")
    return shutil.which("uv") or (str(beside) if beside.is_file() else None)


def _export(uv: str, folder: Path, path: PurePosixPath, chosen: Sequence[str]) -> str:
    """Return the lock in pip's form; with hashes only if all have them, as pip requires."""
    options = ("--frozen", "--no-emit-workspace", "--no-header", "--no-annotate", "--offline")
    places = ("--emit-index-url", "--emit-find-links")
    argv = [uv, "export", *options, *places, "--format", "requirements-txt", *chosen]
    text = _run(argv, folder, path)
    entries = [words for _, words in logical_lines(text) if not _is_folder(words)]
    if not all("--hash=" in entry for entry in entries if entry and not entry.startswith("--")):
        text = _run([*argv, "--no-hashes"], folder, path)
    # Where the project names no index, the pod's own counts.
    return text.replace(f"{DEFAULT_INDEX}\n", "", 1).lstrip("\n")


def _is_folder(words: str) -> bool:
    local = parse_local(words)
    return local is not None and local.kind == "folder"


def _placed(text: str, path: PurePosixPath, bundle: Bundle) -> str:
    """Return a list without the folders of the project, its files named for the pod.

    Raises:
        ConfigError: a file is missing, or lies outside of the project.
    """
    made: list[str] = []
    for lines, words in logical_lines(text):
        local = parse_local(words)
        if local is None:
            made += lines
        elif local.kind == "file":
            made.append(bundle.file_line(path, words, local))
        elif local.kind == "links":
            made.append(bundle.links_line(path, words, local))
    return "".join(f"{line}\n" for line in made)


def _run(argv: Sequence[str], folder: Path, path: PurePosixPath) -> str:
    environment = {
        key: value
        for key, value in os.environ.items()
        if key != "VIRTUAL_ENV" and (key in KEPT or not key.startswith("UV_"))
    }
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    # Members of a workspace are not beside the copy.
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        raise ConfigError(f"{path}: uv gave no answer in {TIMEOUT_S:.0f} s") from err
    if done.returncode != 0:
        said = " ".join(done.stderr.replace("error: ", "").split())[:400] or "without a word"
        raise ConfigError(
            f"{path}: uv refuses it: {said}", "uv lock; or correct `extras`, `groups`"
        )
    return done.stdout
