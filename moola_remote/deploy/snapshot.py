"""What is sent to a pod: a tree of files, named by its content, sent once and verified there.

The digest and the list are those of docs/protocol.md.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from moola_remote import __version__
from moola_remote.deploy.git import is_in_git
from moola_remote.deploy.left_out import Entry, Skipped, SkipReport
from moola_remote.deploy.selection import LEADS_OUT, list_tree
from moola_remote.deploy.source import Source, read_source
from moola_remote.errors import ConfigError, LimitError
from moola_remote.files.hashing import HashCache, status_of
from moola_remote.text.sanitize import safe

MEGABYTE = 1_000_000
LINK = "120000"
FOLDER = "040000"
CODE_LIMIT = 100 * MEGABYTE


class File(NamedTuple):
    """One file of a tree; `mode` is git's: ``100644``, ``100755``, `LINK`, or an empty `FOLDER`.

    A byte of `path` that is no UTF-8 is half of a surrogate pair, as Python's file functions take
    it and JSON carries it.
    """

    path: str
    size: int
    sha256: str
    mode: str


@dataclass(frozen=True)
class Part:
    """A folder here whose `paths` become the folder `name` of the tree; ``""`` is its top."""

    name: str
    folder: Path
    paths: tuple[str, ...]

    @property
    def prefix(self) -> str:
        """What the paths of the tree begin with."""
        return f"{self.name}/" if self.name else ""


@dataclass(frozen=True)
class Tree:
    """What would be sent, as it was when it was looked at.

    `ignored` is what git ignores beside it, and `fresh` are the paths of files whose hashes were
    not remembered: what the pod lacks is likely to be among them.
    """

    digest: str
    files: tuple[File, ...]
    parts: tuple[Part, ...]
    left_out: tuple[Skipped, ...]
    source: Source | None = None
    ignored: tuple[str, ...] = ()
    fresh: frozenset[str] = frozenset()

    @functools.cached_property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def code_tree(
    folder: Path,
    *,
    results: Path = Path("results"),
    limit: int | None = CODE_LIMIT,
    also: Collection[str] = (),
    without: Collection[str] = (),
    cache: Path | None = None,
) -> Tree:
    """Return the code of a project.

    Args:
        folder: the project; in git its own list counts, elsewhere .gitignore and .moolaignore.
        results: below the folder; never sent.
        limit: bytes; None sends any amount.
        also: files that are sent whatever is ignored, however large: packages that it needs.
        without: what is not sent either, below the folder: what the command itself writes there.
        cache: a file that remembers the hashes of code which has not changed.

    Raises:
        LimitError: it is larger than `limit`.
        ConfigError: nothing to send, git fails, or a file can't be read.
    """
    leavings = SkipReport()
    # Another version may know more of what is no code.
    hashes = HashCache(cache, tag=__version__, is_whole=True)
    excluded = [results.as_posix(), *without]
    entries = list_tree(folder, leavings=leavings, exclude=excluded, also=also, travelled=hashes)
    if limit is not None:
        _guard(folder, [entry for entry in entries if entry.path not in also], limit)
    part = Part("", folder, tuple(entry.path for entry in entries))
    files = _hash(part, entries, hashes)
    # After a look at each file: of one that can't be read git says no more than that it failed.
    sent, overlooked = set(part.paths), leavings.overlooked
    source = read_source(folder, sent, overlooked) if is_in_git(folder) else None
    with contextlib.suppress(OSError):  # a full disk costs the memory alone
        hashes.save()
    top = len(f"{folder}/")
    fresh = frozenset(path[top:] for path in hashes.fresh)
    tree = _tree(files, [part], leavings, source)
    return replace(tree, ignored=tuple(leavings.ignored), fresh=fresh)


def data_tree(folders: Mapping[str, Path], *, cache: Path | None = None) -> Tree:
    """Return the data sets of a job: each name with its folder, or its one file.

    Args:
        folders: what each name stands for; ignore files do not count.
        cache: a file that remembers the hashes of files which have not changed.

    Raises:
        ConfigError: nothing to send, or a file can't be read.
    """
    leavings, hashes = SkipReport(), HashCache(cache)
    files: list[File] = []
    parts = []
    for name, path in sorted(folders.items()):
        folder, entries = _data_entries(path.resolve(), leavings)
        part = Part(name, folder, tuple(entry.path for entry in entries))
        files += _hash(part, entries, hashes)
        parts.append(part)
    hashes.save()
    return _tree(files, parts, leavings, None)


def digest_of(files: Iterable[File]) -> str:
    """Return the name of a tree with these files: 16 hex digits, after docs/protocol.md."""
    named = sorted(((_name(file), file) for file in files), key=itemgetter(0))
    records = (f"{file.mode} {file.sha256} ".encode() + name + b"\0" for name, file in named)
    return hashlib.sha256(b"".join(records)).hexdigest()[:16]


def _name(file: File) -> bytes:
    return file.path.encode() if file.path.isascii() else os.fsencode(file.path)


def _guard(folder: Path, entries: Sequence[Entry], limit: int) -> None:
    total = sum(entry.size for entry in entries)
    if total <= limit:
        return
    largest = sorted(entries, key=lambda entry: entry.size, reverse=True)[:10]
    named = ", ".join(f"{safe(entry.path, 80)} {entry.size / MEGABYTE:.1f}" for entry in largest)
    raise LimitError(
        f"{folder}: {total / MEGABYTE:.1f} MB of code in {len(entries)} files, expected at most "
        f"{limit / MEGABYTE:.0f} MB; the largest (MB): {named}",
        "name what is not code in .gitignore or .moolaignore",
    )


def _data_entries(path: Path, leavings: SkipReport) -> tuple[Path, list[Entry]]:
    if path.is_dir():
        return path, list_tree(path, leavings=leavings, with_ignores=False)
    try:
        return path.parent, [Entry(path.name, status_of(path))]
    except OSError as err:
        raise ConfigError(f"{path}: can't be read, {err.strerror}") from err


def _hash(part: Part, entries: list[Entry], hashes: HashCache) -> list[File]:
    """Return the files; `entries` is empty then, since a status takes more room than a file."""
    folder, files = str(part.folder), []
    while entries:
        files.append(file_of(folder, entries.pop(), part.prefix, hashes))
    return files


def file_of(folder: Path | str, entry: Entry, prefix: str, hashes: HashCache) -> File:
    """Return an entry as a file of a tree, with its hash."""
    path = f"{folder}/{entry.path}"
    if entry.is_folder:
        return File(prefix + entry.path, 0, hashlib.sha256().hexdigest(), FOLDER)
    try:
        if entry.is_link:
            target = os.fsencode(os.readlink(path))  # noqa: PTH115 - Path's would tidy it
            digest = hashlib.sha256(target).hexdigest()
            return File(prefix + entry.path, len(target), digest, LINK)
        known = (entry.size, entry.sha256) if entry.sha256 else None
        size, digest = known or hashes.sha256_of(path, entry.status)
    except OSError as err:
        raise ConfigError(
            f"{path}: can't be read, {err.strerror or err}", "have it ignored, or fix its mode"
        ) from err
    mode = "100755" if entry.status.st_mode & 0o100 else "100644"
    return File(prefix + entry.path, size, digest, mode)


def _tree(
    files: list[File], parts: Sequence[Part], leavings: SkipReport, source: Source | None
) -> Tree:
    if all(file.mode == FOLDER for file in files):
        where = ", ".join(str(part.folder) for part in parts)
        stays = "; ".join(map(str, leavings.all()))
        cure = "write one, have it not ignored, or change to the project's folder"
        if LEADS_OUT in stays:  # as git-annex, DVC and caches of models have their files
            folders = shlex.join(str(part.folder) for part in parts)
            cure = f"`cp -rL {folders} COPY` makes files of links: send COPY"
        got = f", got {stays}" if stays else ""
        raise ConfigError(f"{where}: nothing to send, expected at least one file{got}", cure)
    files.sort(key=_name)
    return Tree(digest_of(files), tuple(files), tuple(parts), leavings.all(), source)
