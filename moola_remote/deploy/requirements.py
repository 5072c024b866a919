"""A list of packages in pip's form, with the files that it includes read into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from moola_remote.deploy.bundled import Bundle, normal
from moola_remote.deploy.declared import SETTINGS, Dependencies, Reader
from moola_remote.deploy.local_paths import Local, parse_local
from moola_remote.errors import ConfigError

_INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))(.+)")
_INDEX = re.compile(r"(-i|--index-url|--extra-index-url)(?:\s+|=)(?!\S+://|\$)(\S+)")
# What a folder of the project declares with these extras: its packages and import paths.
ReadProject = Callable[[PurePosixPath, Sequence[str]], Dependencies]


@dataclass
class _Text:
    """What was read so far: requirements, constraints, and lines about what was left out.

    `bundle` has the files of the project that are named; `project` reads what a folder declares
    that the list names as a package; None reads nothing.
    """

    bundle: Bundle
    project: ReadProject | None
    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def read_requirements(
    path: PurePosixPath, read: Reader, project: ReadProject | None = None
) -> Dependencies:
    """Return the packages of a list in pip's form.

    What it includes by ``-r`` and ``-c`` is read in. Wheels and archives of the project are named
    as they are found on the pod. In place of its folders, as of ``-e .``, what they need is taken:
    the code travels as it is, and is imported from where it is.

    Raises:
        ConfigError: a file is missing, lies outside of the project, or includes itself.
    """
    text = _Text(Bundle(read), project)
    _take(path, read, text, into=text.requirements, above=())
    return Dependencies(
        source=str(path),
        requirements=_joined(text.requirements),
        constraints=_joined(text.constraints),
        files=text.bundle.files,
        paths=tuple(dict.fromkeys(text.paths)),
        notes=tuple(text.bundle.notes),
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
            f"write it, empty where it needs none, or correct `requirements` in {SETTINGS}",
        )
    for lines, words in logical_lines(content):
        included, local = _INCLUDE.match(words), parse_local(words)
        if included and "://" not in included[2]:
            is_constraint = included[1] in ("-c", "--constraint")
            inner = _included(path.parent / included[2].strip(" '\""))
            target = text.constraints if is_constraint else into
            _take(inner, read, text, into=target, above=(*above, path))
        elif local is None:
            if _INDEX.match(words):
                text.bundle.notes.append(
                    f"{path}: {words}: an index in a folder is not sent; name its files with "
                    "--find-links FOLDER"
                )
            into += lines
        else:
            into += [line for line in _take_local(path, words, local, text) if line]


def logical_lines(content: str) -> Iterator[tuple[list[str], str]]:
    """Yield the lines of each entry, and what it says: in one line, without a comment."""
    held: list[str] = []
    for line in content.splitlines():
        held.append(line)
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            continue
        yield held, _words(held)
        held = []
    if held:
        yield held, _words(held)


def _words(lines: Sequence[str]) -> str:
    bare = (re.sub(r"(^|\s)#.*$", "", line).removesuffix("\\").strip() for line in lines)
    return " ".join(bare).strip()


def _take_local(path: PurePosixPath, words: str, local: Local, text: _Text) -> list[str]:
    """Return what is installed in place of a path of the project."""
    bundle = text.bundle
    if local.kind == "file":
        return [bundle.file_line(path, words, local)]
    if local.kind == "links":
        return [bundle.links_line(path, words, local)]
    place = bundle.place(path, words, local)
    if place is None:
        return [words]
    bundle.notes.append(f"{path}: {words}: its code travels, and is not installed")
    if text.project is None:
        return []
    extras = [one.strip() for one in local.extras.strip("[]").split(",") if one.strip()]
    try:
        found = text.project(place, extras)
    except ConfigError as err:
        bundle.notes.append(f"{path}: {words}: what it needs is left out: {err.message}")
        return []
    bundle.files.update(found.files)
    bundle.notes += found.notes
    text.paths += found.paths
    return found.requirements.splitlines()


def _included(path: PurePosixPath) -> PurePosixPath:
    found = normal(path)
    if found is None:
        raise ConfigError(
            f"{path}: outside of the project, so it is not sent",
            "move it into the project",
        )
    return found


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
