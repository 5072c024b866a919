"""What is sent to a pod: a tree of files, named by its content, sent once and verified there.

The digest and the list are those of docs/protocol.md.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from moola_remote.errors import ConfigError, LimitError, TransferError
from moola_remote.hashing import HashCache
from moola_remote.listing import (
    Entry,
    Leavings,
    LeftOut,
    git,
    is_in_git,
    is_secret,
    list_tree,
)
from moola_remote.screen import safe

if TYPE_CHECKING:
    from moola_remote.facts import Facts
    from moola_remote.runs import Agent
    from moola_remote.transport import Transport

logger = logging.getLogger(__name__)

# The name of what is sent, bytes so far, bytes in all.
Progress = Callable[[str, int, int], None]
Kind = Literal["code", "data", "checkpoints"]

MEGABYTE = 1_000_000
LINK = "120000"
FOLDER = "040000"
CODE_LIMIT = 100 * MEGABYTE
# A diff is for reading; the snapshot itself has every byte.
DIFF_MAX = 1 << 18
# How fast the slowest disk that we wait for is read when a tree is verified.
SEAL_BYTES_PER_S = 20 * MEGABYTE


@dataclass(frozen=True)
class File:
    """One file of a tree; `mode` is git's: ``100644``, ``100755``, `LINK`, or an empty `FOLDER`."""

    path: str
    size: int
    sha256: str
    mode: str


@dataclass(frozen=True)
class Source:
    """Where code comes from; `commit` is None before the first, `branch` on a detached head.

    `diff` is that of the tracked files; files that git does not know make the tree dirty too.
    """

    commit: str | None
    branch: str | None
    dirty: bool
    diff: str


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
    """What would be sent, as it was when it was looked at."""

    digest: str
    files: tuple[File, ...]
    parts: tuple[Part, ...]
    left_out: tuple[LeftOut, ...]
    source: Source | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def code_tree(
    folder: Path, *, results: Path = Path("results"), limit: int | None = CODE_LIMIT
) -> Tree:
    """The code of a project.

    Args:
        folder: the project; in git its own list counts, elsewhere .gitignore and .moolaignore.
        results: below the folder; never sent.
        limit: bytes; None sends any amount.

    Raises:
        LimitError: it is larger than `limit`.
        ConfigError: nothing to send, git fails, or a file can't be read.
    """
    leavings = Leavings()
    entries = list_tree(folder, leavings=leavings, exclude=[results.as_posix()])
    if limit is not None:
        _guard(folder, entries, limit)
    part = Part("", folder, tuple(entry.path for entry in entries))
    source = read_source(folder, set(part.paths)) if is_in_git(folder) else None
    return _tree(_hash(part, entries, HashCache(None)), [part], leavings, source)


def data_tree(folders: Mapping[str, Path], *, cache: Path | None = None) -> Tree:
    """The data sets of a job: each name with its folder, or its one file.

    Args:
        folders: what each name stands for; ignore files do not count.
        cache: a file that remembers the hashes of files which have not changed.

    Raises:
        ConfigError: nothing to send, or a file can't be read.
    """
    leavings, hashes = Leavings(), HashCache(cache)
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
    """The name of a tree with these files: 16 hex digits, after docs/protocol.md."""
    records = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path.encode()):
        records.update(f"{file.mode} {file.sha256} {file.path}\0".encode())
    return records.hexdigest()[:16]


def read_source(folder: Path, sent: Collection[str]) -> Source:
    """Where the code in a git work tree comes from.

    Args:
        folder: in the work tree.
        sent: the paths that travel; the diff shows the changes of no other file.

    Raises:
        ConfigError: git fails.
    """
    status = git(
        folder, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", "."
    )
    lines = status.decode("utf-8", "replace").splitlines()
    head = dict(re.findall(r"^# branch\.(\S+) (.+)$", "\n".join(lines), re.MULTILINE))
    commit = None if head["oid"] == "(initial)" else head["oid"]
    branch = None if head["head"] == "(detached)" else head["head"]
    dirty = any(not line.startswith("#") for line in lines)
    return Source(commit, branch, dirty, _diff(folder, sent) if dirty and commit else "")


def _diff(folder: Path, sent: Collection[str]) -> str:
    names = ("--name-only", "--no-renames", "--relative", "-z")
    named = git(folder, "diff", "HEAD", *names, "--", ".")
    changed = [os.fsdecode(name) for name in named.split(b"\0") if name]
    stay = [path for path in changed if is_secret(path) or _stays(folder / path, path, sent)]
    hidden = [f":(exclude,literal){path}" for path in stay]
    # What was deleted may have been a secret: of such a file the name is told and nothing else.
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--submodule=short")
    diff = git(folder, "diff", "HEAD", *options, "--irreversible-delete", "--", ".", *hidden)
    text = diff[:DIFF_MAX].decode("utf-8", "replace")
    return text + (f"\n[cut: {len(diff)} bytes in all]\n" if len(diff) > DIFF_MAX else "")


def _stays(file: Path, path: str, sent: Collection[str]) -> bool:
    return path not in sent and (file.is_symlink() or file.is_file())


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


def _data_entries(path: Path, leavings: Leavings) -> tuple[Path, list[Entry]]:
    if path.is_dir():
        return path, list_tree(path, leavings=leavings, with_ignores=False)
    try:
        return path.parent, [Entry(path.name, path.lstat())]
    except OSError as err:
        raise ConfigError(f"{path}: can't be read, {err.strerror}") from err


def _hash(part: Part, entries: Iterable[Entry], hashes: HashCache) -> list[File]:
    return [_file(part.folder, entry, part.prefix, hashes) for entry in entries]


def _file(folder: Path, entry: Entry, prefix: str, hashes: HashCache) -> File:
    path = folder / entry.path
    if entry.is_folder:
        return File(prefix + entry.path, 0, hashlib.sha256().hexdigest(), FOLDER)
    try:
        if entry.is_link:
            target = os.fsencode(os.readlink(path))  # noqa: PTH115 - Path's would tidy it
            digest = hashlib.sha256(target).hexdigest()
            return File(prefix + entry.path, len(target), digest, LINK)
        size, digest = hashes.sha256_of(path, entry.status)
    except OSError as err:
        raise ConfigError(
            f"{path}: can't be read, {err.strerror or err}", "have it ignored, or mend its mode"
        ) from err
    mode = "100755" if entry.status.st_mode & 0o100 else "100644"
    return File(prefix + entry.path, size, digest, mode)


def _tree(
    files: list[File], parts: Sequence[Part], leavings: Leavings, source: Source | None
) -> Tree:
    if all(file.mode == FOLDER for file in files):
        where = ", ".join(str(part.folder) for part in parts)
        raise ConfigError(f"{where}: nothing to send, expected at least one file")
    files.sort(key=lambda file: file.path.encode())
    return Tree(digest_of(files), tuple(files), tuple(parts), leavings.all(), source)


def send(
    transport: Transport,
    agent: Agent,
    tree: Tree,
    kind: Kind,
    *,
    facts: Facts,
    progress: Progress = lambda *_: None,
) -> int:
    """Have a tree on the pod, complete and verified there.

    Args:
        transport: the connection.
        agent: on the pod.
        tree: what to send.
        kind: what it is.
        facts: the agent's answer to ``probe``; a tree that it names is not sent again.
        progress: told the bytes so far.

    Returns:
        Bytes of file content that went over the line.

    Raises:
        TransferError: a file was changed while it was sent, or the disk is full.
        UnreachableError: the connection was lost.
    """
    known = {"code": facts.trees.code, "data": facts.trees.data}.get(kind, [])
    if tree.digest in known:
        return 0
    latest = agent.folder.tree(kind, known[-1]) if known else None
    carrier = _Carrier(transport, tree, kind, agent.folder.incoming(kind, tree.digest), progress)
    sent = carrier.push(link_dest=latest)
    try:
        _seal(agent, tree, kind)
    except TransferError:
        _look_for_changes(tree)
        # Nothing changed here: what was there already had the right size and time, and other bytes.
        logger.info("%s %s: not as listed, comparing the content of each file", kind, tree.digest)
        sent += carrier.push(compare_content=True)
        _seal(agent, tree, kind)
    progress(kind, tree.size, tree.size)
    return sent


@dataclass(frozen=True)
class _Carrier:
    """Brings the parts of a tree to the folder where it is received."""

    transport: Transport
    tree: Tree
    kind: Kind
    incoming: PurePosixPath
    progress: Progress

    def push(self, *, link_dest: PurePosixPath | None = None, compare_content: bool = False) -> int:
        sizes = {file.path: file.size for file in self.tree.files}
        sent = before = 0
        for part in self.tree.parts:
            sent += self.transport.push(
                part.folder,
                self.incoming / part.name,
                files=part.paths,
                link_dest=link_dest / part.name if link_dest else None,
                compare_content=compare_content,
                progress=functools.partial(self._tell, before),
            )
            before += sum(sizes[part.prefix + path] for path in part.paths)
        return sent

    def _tell(self, before: int, done: int) -> None:
        self.progress(self.kind, min(before + done, self.tree.size), self.tree.size)


def _seal(agent: Agent, tree: Tree, kind: Kind) -> None:
    listed = {
        "schema": 1,
        "kind": kind,
        "digest": tree.digest,
        "files": [asdict(file) for file in tree.files],
    }
    patience_s = 60.0 + tree.size / SEAL_BYTES_PER_S
    agent.call("seal", kind, tree.digest, stdin=listed, timeout_s=patience_s)


def _look_for_changes(tree: Tree) -> None:
    """Raises a TransferError that names what is not any more as it was when it was listed."""
    listed = {file.path: file for file in tree.files}
    for part in tree.parts:
        for path in part.paths:
            file = listed[part.prefix + path]
            if _is_changed(part.folder, path, file):
                raise TransferError(
                    f"{safe(str(part.folder / path))}: changed while it was sent", "run it again"
                )


def _is_changed(folder: Path, path: str, file: File) -> bool:
    try:
        now = _file(folder, Entry(path, (folder / path).lstat()), "", HashCache(None))
    except (OSError, ConfigError):
        return True
    return (now.sha256, now.mode) != (file.sha256, file.mode)
