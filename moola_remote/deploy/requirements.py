"""A list of packages in pip's form, with the files that it includes read into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from moola_remote.deploy.declared import Dependencies, Reader
from moola_remote.errors import ConfigError

_INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))(.+)")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s+|=)(.+)")
# The extras of a path: `.[train]`.
_PATH = re.compile(
    r"(?:file:)?(\.{1,2}(?:/[^\[\s;]*)?|/[^\[\s;]*|\.?/?[^\s:@=<>!~;\[]+/)(\[[^\]]*\])?$"
)


_BUILT = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".egg")
# What a folder of the project declares with these extras: its packages and import paths.
ReadProject = Callable[[PurePosixPath, Sequence[str]], Dependencies]


@dataclass
class _Text:
    """What was read so far: requirements, constraints, and lines about what was left out.

    `project` reads what a folder declares that the list names as a package; None reads nothing.
    """

    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    project: ReadProject | None = None


def read_requirements(
    path: PurePosixPath, read: Reader, project: ReadProject | None = None
) -> Dependencies:
    """Return the packages of a list in pip's form.

    What it includes by ``-r`` and ``-c`` is read in. In place of paths of the project, as of
    ``-e .``, what they need is taken: the code travels as it is, and is imported from where it is.

    Raises:
        ConfigError: a file is missing, or includes itself.
    """
    text = _Text(project=project)
    _take(path, read, text, into=text.requirements, above=())
    return Dependencies(
        source=str(path),
        requirements=_joined(text.requirements),
        constraints=_joined(text.constraints),
        paths=tuple(dict.fromkeys(text.paths)),
        notes=tuple(text.notes),
    )


def _take(
    path: PurePosixPath,
    read: Reader,
    text: _Text,
    *,
    into: list[str],
    above: tuple[PurePosixPath, ...],
) -> None:
    where = f"{above[-1]}: {path}" if above else str(path)
    if path in above:
        raise ConfigError(f"{where}: includes itself", "remove that line")
    content = read(path)
    if content is None:
        raise ConfigError(
            f"{where}: can't be read, No such file or directory; expected the packages "
            "that a job needs, a line each",
            "write it, empty where it needs none, or correct `requirements` in [tool.moola-remote]",
        )
    for line in content.splitlines():
        words = re.sub(r"(^|\s)#.*$", "", line).strip()
        included, editable = _INCLUDE.match(words), _EDITABLE.match(words)
        local = _PATH.match(editable[1] if editable else words)
        if included and "://" not in included[2]:
            is_constraint = included[1] in ("-c", "--constraint")
            inner = _normal(path.parent / included[2].strip(" '\""))
            target = text.constraints if is_constraint else into
            _take(inner, read, text, into=target, above=(*above, path))
        elif words and local:
            _take_local(path, words, local, text, into)
        else:
            into.append(line)


def _take_local(
    path: PurePosixPath, words: str, local: re.Match[str], text: _Text, into: list[str]
) -> None:
    """Take what a path of the project needs, in place of the path."""
    name = local[1].split("#")[0]
    if name.endswith(_BUILT):
        text.notes.append(
            f"{path}: {words}: a built package is not installed from the code that is sent; unpack "
            "it beside the code, or name it by its address"
        )
        return
    text.notes.append(f"{path}: {words}: its code travels, and is not installed")
    if text.project is None or name.startswith("/"):
        return
    extras = [one.strip() for one in (local[2] or "").strip("[]").split(",") if one.strip()]
    try:
        found = text.project(_normal(path.parent / name), extras)
    except ConfigError as err:
        text.notes.append(f"{path}: {words}: what it needs is left out: {err.message}")
        return
    into += found.requirements.splitlines()
    text.paths += found.paths


def _normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part == "..":
            raise ConfigError(
                f"{path}: outside of the project, so that it doesn't travel",
                "move it into the project",
            )
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
