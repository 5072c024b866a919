"""A list of packages in pip's form, with the files that it includes read into it."""

from __future__ import annotations

import re
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


@dataclass
class _Text:
    """What was read so far: requirements, constraints, and lines about what was left out."""

    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_requirements(path: PurePosixPath, read: Reader) -> Dependencies:
    """Return the packages of a list in pip's form.

    What it includes by ``-r`` and ``-c`` is read in. Paths of the project are left out: the code
    travels as it is, and needs no installation to be imported.

    Raises:
        ConfigError: a file is missing, or includes itself.
    """
    text = _Text()
    _take(path, read, text, into=text.requirements, above=())
    return Dependencies(
        source=str(path),
        requirements=_joined(text.requirements),
        constraints=_joined(text.constraints),
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
            text.notes.append(f"{path}: {words}: its code travels, and is not installed")
        else:
            into.append(line)


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
