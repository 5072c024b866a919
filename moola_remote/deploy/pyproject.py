"""What pyproject.toml says of a project's packages: dependencies, extras and groups."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from moola_remote.config.nearest import meant
from moola_remote.deploy.bundled import Bundle
from moola_remote.deploy.declared import PYPROJECT, SETTINGS, Dependencies, Reader
from moola_remote.deploy.import_paths import import_paths
from moola_remote.deploy.local_paths import parse_local
from moola_remote.deploy.requirements import read_requirements
from moola_remote.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# A package, its extras, and a marker.
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?[^;]*(;.*)?$")


def declares(text: str) -> bool:
    """Return whether it says anything of packages: one that only configures tools does not."""
    try:
        tables = tomllib.loads(text)
    except ValueError:
        return True  # its reader raises the error
    project = _table(tables, "project")
    is_dynamic = "dependencies" in project.get("dynamic", [])
    has_any = "dependencies" in project or "optional-dependencies" in project or is_dynamic
    return bool(has_any or tables.get("dependency-groups") or _poetry(tables))


def read_pyproject(
    path: PurePosixPath, read: Reader, *, extras: Sequence[str] = (), groups: Sequence[str] = ()
) -> Dependencies:
    """Return the packages of a project, with those of the extras and groups that are asked for.

    Raises:
        ConfigError: it can't be read, or has no such extra or group.
    """
    tables = _load(path, read)
    project = _table(tables, "project")
    if _poetry(tables) and "dependencies" not in project:
        raise ConfigError(
            f"{path}: its packages are in Poetry's own table, which only Poetry can resolve",
            "poetry export -o requirements.txt, and name that file as `requirements`",
        )
    lists = [_declared(project, tables, path, read)]
    lists += [_extra(project, tables, name, path, read) for name in extras]
    lists += [_group(_table(tables, "dependency-groups"), name, path, ()) for name in groups]
    chosen = [f"extra {name}" for name in extras] + [f"group {name}" for name in groups]
    own = _canonical(str(project.get("name", "")))
    bundle, sources = Bundle(read), _table(_table(_table(tables, "tool"), "uv"), "sources")
    lines = [
        _placed(line, path, bundle, sources)
        for one in lists
        for line in one
        if not _is_named(line, own)
    ]
    return Dependencies(
        source=f"{path} ({', '.join(chosen)})" if chosen else str(path),
        requirements="".join(f"{line}\n" for line in lines),
        files=bundle.files,
        notes=tuple(bundle.notes),
    )


def _placed(line: str, path: PurePosixPath, bundle: Bundle, sources: Mapping[str, Any]) -> str:
    """Return a requirement as it is found on the pod, if it is a file of the project.

    Raises:
        ConfigError: the file is missing, or lies outside of the project.
    """
    found = _REQUIREMENT.match(line)
    named = {_canonical(name): source for name, source in sources.items()}
    source = named.get(_canonical(found[1])) if found else None
    if found and isinstance(source, dict) and isinstance(source.get("path"), str):
        local = parse_local(f"{found[1]}{found[2] or ''} @ {source['path']} {found[3] or ''}")
        if local is not None and local.kind == "file":
            return bundle.file_line(path, line, local)
    if source is not None:
        bundle.notes.append(
            f"{path}: {line}: its source in [tool.uv.sources] is for uv alone; uv lock, and name "
            "uv.lock as `requirements`"
        )
    local = parse_local(line)
    return bundle.file_line(path, line, local) if local and local.kind == "file" else line


def is_among(text: str, packages: Iterable[str]) -> bool:
    """Return whether one of the packages is that of the project itself."""
    try:
        own = _canonical(str(_table(tomllib.loads(text), "project").get("name", "")))
    except ValueError:
        return False
    return bool(own) and own in map(_canonical, packages)


def read_installed(folder: PurePosixPath, read: Reader, extras: Sequence[str]) -> Dependencies:
    """Return what a folder brings that is installed as a package: what it needs, and its code.

    Raises:
        ConfigError: its pyproject.toml can't be read, or has no such extra.
    """
    file = folder / PYPROJECT
    text = read(file)
    needs = read_pyproject(file, read, extras=extras) if text and declares(text) else Dependencies()
    return replace(needs, paths=tuple(import_paths(folder, read, is_installed=True)))


def console_scripts(read: Reader) -> dict[str, str]:
    """Return the programs that installing the project would make, ``module:function`` each."""
    tables = _load(PYPROJECT, read) if read(PYPROJECT) is not None else {}
    poetry = _table(_table(_table(tables, "tool"), "poetry"), "scripts")
    found = {**poetry, **_table(_table(tables, "project"), "scripts")}
    return {name: entry for name, entry in found.items() if isinstance(entry, str)}


def names_of(path: PurePosixPath, read: Reader) -> tuple[list[str], list[str]]:
    """Return the extras and the groups that it has, to choose from."""
    tables = _load(path, read)
    extras = _table(_table(tables, "project"), "optional-dependencies")
    return sorted(extras), sorted(_table(tables, "dependency-groups"))


def check_choice(
    path: PurePosixPath, read: Reader, *, extras: Sequence[str], groups: Sequence[str]
) -> None:
    """Raise a ConfigError unless it has all these extras and groups."""
    has_extras, has_groups = names_of(path, read)
    if "dev-dependencies" in _table(_table(_load(path, read), "tool"), "uv"):
        has_groups.append("dev")  # uv's own, older than groups
    for kind, names, known in (("extra", extras, has_extras), ("group", groups, has_groups)):
        for name in names:
            if _canonical(name) not in map(_canonical, known):
                raise _unknown(path, kind, name, known)


def _load(path: PurePosixPath, read: Reader) -> dict[str, Any]:
    text = read(path)
    if text is None:
        raise ConfigError(f"{path}: can't be read, no such file", "correct `requirements`")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as err:
        why = " ".join(str(err).split())[:300]
        raise ConfigError(f"{path}: not TOML, {why}", "fix that line") from err


def _table(tables: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = tables.get(name)
    return found if isinstance(found, dict) else {}


def _poetry(tables: Mapping[str, Any]) -> bool:
    return "dependencies" in _table(_table(tables, "tool"), "poetry")


def _declared(
    project: Mapping[str, Any], tables: Mapping[str, Any], path: PurePosixPath, read: Reader
) -> list[str]:
    if "dependencies" in project.get("dynamic", []):
        return _dynamic(tables, ("dependencies",), path, read)
    return _lines(project.get("dependencies", []), f"{path}: project.dependencies")


def _extra(
    project: Mapping[str, Any],
    tables: Mapping[str, Any],
    name: str,
    path: PurePosixPath,
    read: Reader,
) -> list[str]:
    if "optional-dependencies" in project.get("dynamic", []):
        return _dynamic(tables, ("optional-dependencies", name), path, read)
    extras = _table(project, "optional-dependencies")
    known = {_canonical(one): one for one in extras}
    if _canonical(name) not in known:
        raise _unknown(path, "extra", name, list(extras))
    lines = _lines(extras[known[_canonical(name)]], f"{path}: extra {name}")
    own = _canonical(str(project.get("name", "")))
    found = []
    for line in lines:
        inner = re.match(r"\s*[A-Za-z0-9._-]+\s*\[([^\]]*)\]\s*$", line)
        if inner and _is_named(line, own):  # an extra that is made of others
            for one in inner[1].split(","):
                if _canonical(one.strip()) != _canonical(name):
                    found += _extra(project, tables, one.strip(), path, read)
        else:
            found.append(line)
    return found


def _dynamic(
    tables: Mapping[str, Any], keys: tuple[str, ...], path: PurePosixPath, read: Reader
) -> list[str]:
    """Return what setuptools reads from files."""
    entry: Any = _table(_table(_table(tables, "tool"), "setuptools"), "dynamic")
    for key in keys:
        entry = _table(entry, key)
    files = entry.get("file")
    files = [files] if isinstance(files, str) else files
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise ConfigError(
            f"{path}: {'.'.join(keys)}: computed when the project is built, expected a list or a "
            "file",
            "name a list of packages as `requirements`",
        )
    texts = [read_requirements(path.parent / file, read).requirements for file in files]
    return [line for text in texts for line in text.splitlines()]


def _group(
    groups: Mapping[str, Any], name: str, path: PurePosixPath, above: tuple[str, ...]
) -> list[str]:
    """Return a dependency group (PEP 735), with the groups that it includes."""
    known = {_canonical(one): one for one in groups}
    if _canonical(name) not in known:
        raise _unknown(path, "group", name, list(groups))
    if _canonical(name) in above:
        raise ConfigError(f"{path}: group {name}: includes itself", "remove that line")
    entries = groups[known[_canonical(name)]]
    found: list[str] = []
    for entry in entries if isinstance(entries, list) else []:
        inner = entry.get("include-group") if isinstance(entry, dict) else None
        if isinstance(inner, str):
            found += _group(groups, inner, path, (*above, _canonical(name)))
        else:
            found += _lines([entry], f"{path}: group {name}")
    return found


def _lines(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"{where}: expected a list of packages", "correct it")
    return list(value)


def _unknown(path: PurePosixPath, kind: str, name: str, known: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{path}: {kind} {name!r}: unknown, expected one of {', '.join(known) or 'none'}",
        meant(name, known, f"correct `{kind}s` in {SETTINGS}"),
    )


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_named(line: str, name: str) -> bool:
    found = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line)
    return bool(name and found and _canonical(found[1]) == name)
