"""Paths in a list of packages: which lines name a file or a folder of this machine."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple
from urllib.parse import unquote

# What pip installs as it is: built, or to be built from an archive.
BUILT = (".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz")
_LINKS = re.compile(r"(?:-f|--find-links)(?:\s+|=)['\"]?([^'\"]+?)['\"]?$")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s+|=)(.+)")
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*@\s*(.+)")
# Behind a path: a marker, or options such as --hash.
_REST = re.compile(r"(.+?)(?:\s*(;.*)|\s+(--.*))?$")
_EXTRAS = re.compile(r"(.+?)(\[[^\]]*\])$")
# The project's folder, in the words of uv, PDM and Hatch; and in ours, of a line read before.
_TOP = re.compile(r"(?:file:/*)?(?:\$\{(?:PROJECT_ROOT|MOOLA_CODE)\}|\{root(?::uri)?\})/+")
_WHEEL = re.compile(r"([^-]+)-[^-]+(?:-[^-]+)?-[^-]+-[^-]+-[^-]+\.whl")
_ARCHIVE = re.compile(r"(.+)-\d[^-]*?\.(?:tar\.\w+|tgz|zip)")


class Local(NamedTuple):
    """A path in a line of a list.

    Attributes:
        kind: a file that is installed, a folder, or a place of files (``--find-links``).
        path: as it is written, without what stands for the project's folder.
        is_from_top: whether it begins at the project's folder, wherever the list is.
        name: of the package, where the line says it.
        extras: ``[train]``, or empty.
        fragment: ``#sha256=...``, or empty.
        rest: a marker, or options.
    """

    kind: Literal["file", "folder", "links"]
    path: str
    is_from_top: bool = False
    name: str = ""
    extras: str = ""
    fragment: str = ""
    rest: str = ""


def parse_local(words: str) -> Local | None:
    """Return the path that a line of a list names; None where it names none."""
    links = _LINKS.match(words)
    if links:
        path, is_from_top = _path_of(links[1])
        return Local("links", path, is_from_top) if path else None
    editable, named = _EDITABLE.match(words), _NAMED.match(words)
    name, extras, target = (named[1], named[2] or "", named[3]) if named else ("", "", words)
    split = _REST.match(editable[1] if editable else target)
    if split is None or (words.startswith("-") and not editable):
        return None
    target, rest = split[1], split[2] or split[3] or ""
    target, hashed, fragment = target.partition("#")
    behind = _EXTRAS.match(target)
    if behind:
        target, extras = behind[1], behind[2]
    path, is_from_top = _path_of(target)
    is_built = path.lower().endswith(BUILT)
    is_path = editable or named or target.startswith((".", "/", "file:")) or is_from_top
    if not path or not (is_path or is_built or _looks_like_folder(path)):
        return None
    kind: Literal["file", "folder"] = "file" if is_built else "folder"
    return Local(kind, path, is_from_top, name, extras, hashed + fragment, rest)


def _path_of(target: str) -> tuple[str, bool]:
    """Return a path, and whether it begins at the project's folder; empty for an address."""
    top = _TOP.match(target)
    if top:
        return unquote(target[top.end() :]) or ".", True
    if target.startswith("file:"):
        path = re.sub(r"^//localhost(?=/)", "", target[5:])
        return unquote(re.sub(r"^//", "", path)), False
    is_elsewhere = "://" in target or target.startswith("${")  # what that is, pip finds out
    return ("" if is_elsewhere else target), False


def _looks_like_folder(path: str) -> bool:
    return "/" in path and not re.search(r"[\s@=<>!~;:]", path)


def package_of(file_name: str) -> str:
    """Return the package that a wheel or a source archive has, by its name; empty if unknown."""
    found = _WHEEL.fullmatch(file_name) or _ARCHIVE.fullmatch(file_name)
    return found[1] if found else ""
