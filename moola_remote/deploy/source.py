"""Where the code comes from: commit, branch and diff."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from moola_remote.deploy.credentials import without_credentials
from moola_remote.deploy.git import git
from moola_remote.deploy.secret_files import is_secret

# A diff is for reading; the snapshot itself has every byte.
DIFF_MAX = 1 << 18
PATHS_MAX = 1 << 15
# Submodules too, whatever the user or .gitmodules has git overlook: their files travel.
LOOK_INSIDE = "--ignore-submodules=none"


@dataclass(frozen=True)
class Source:
    """Where code comes from; `commit` is None before the first, `branch` on a detached head.

    `diff` is that of the tracked files; files that git does not know make the tree dirty too.
    """

    commit: str | None
    branch: str | None
    dirty: bool
    diff: str


def read_source(
    folder: Path,
    sent: Collection[str],
    overlooked: Mapping[str, Sequence[bytes]] = MappingProxyType({}),
) -> Source:
    """Return where the code in a git work tree comes from.

    Args:
        folder: in the work tree.
        sent: the paths that travel; the diff shows the changes of no other file.
        overlooked: see `SkipReport`; they travel as they are here, so they are looked at.

    Raises:
        ConfigError: git fails.
    """
    with _looking_at(folder, overlooked.get("", ())) as index:
        source = _read_source(folder, sent, index)
    if source.dirty or not any(
        _is_dirty(folder / inner, names) for inner, names in overlooked.items() if inner
    ):
        return source
    return replace(source, dirty=True)


@contextlib.contextmanager
def _looking_at(folder: Path, names: Sequence[bytes]) -> Iterator[Path | None]:
    """Yield a copy of the index in which git is to look at these files; None where all are."""
    if not names:
        yield None
        return
    asked = b"".join(name + b"\0" for name in names)
    where = os.fsdecode(git(folder, "rev-parse", "--git-path", "index").removesuffix(b"\n"))
    with tempfile.TemporaryDirectory(prefix="moola-") as made:
        index = Path(made, "index")
        # With its time: by that git knows which files were written too lately to trust theirs.
        shutil.copy2(folder / where, index)
        for flag in ("--no-assume-unchanged", "--no-skip-worktree"):
            whole = ("update-index", "--no-split-index", flag, "-z", "--stdin")
            git(folder, *whole, stdin=asked, index=index)
        yield index


def _is_dirty(folder: Path, names: Sequence[bytes]) -> bool:
    with _looking_at(folder, names) as index:
        return _read_source(folder, (), index).dirty


def _read_source(folder: Path, sent: Collection[str], index: Path | None) -> Source:
    options = ("--porcelain=v2", "--branch", "--untracked-files=normal", "--no-renames", "-z")
    status = git(folder, "status", *options, LOOK_INSIDE, "--", ".", index=index)
    lines = status.split(b"\0")[:-1]
    heads = "\n".join(os.fsdecode(line) for line in lines if line.startswith(b"#"))
    head = dict(re.findall(r"^# branch\.(\S+) (.+)$", heads, re.MULTILINE))
    commit = None if head["oid"] == "(initial)" else head["oid"]
    branch = None if head["head"] == "(detached)" else head["head"]
    dirty = any(not line.startswith(b"#") for line in lines)
    changed = _changed(folder, lines, index) if dirty and commit else ()
    diff = _diff(folder, sent, changed, index)
    return Source(commit, branch, dirty, diff)


def _changed(folder: Path, lines: Sequence[bytes], index: Path | None) -> list[str]:
    """Return the tracked files that are not as in the commit, by the lines of ``git status``."""
    if not (folder / ".git").exists():  # those lines name files from the top of the repository
        names = ("--name-only", "--no-renames", "--relative", "-z", LOOK_INSIDE)
        named = git(folder, "diff", "HEAD", *names, "--", ".", index=index).split(b"\0")
    else:
        fields = {b"1": 8, b"u": 10}
        found = ((line, fields.get(line[:1], 0)) for line in lines)
        named = [line.split(b" ", before)[before] for line, before in found if before]
    return [os.fsdecode(name) for name in named if name]


def _diff(folder: Path, sent: Collection[str], changed: Sequence[str], index: Path | None) -> str:
    stay = {path for path in changed if is_secret(path) or _stays(folder / path, path, sent)}
    shown = [path for path in changed if path not in stay]
    if not shown:
        return ""
    # Named, they are all that git looks at. Very many would not fit a command line.
    paths = [f":(literal){path}" for path in shown]
    if sum(map(len, paths)) > PATHS_MAX:
        paths = [".", *(f":(exclude,literal){path}" for path in stay)]
    # What was deleted may have been a secret: of such a file the name is recorded and nothing else.
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--submodule=short")
    more = (*options, "--irreversible-delete", LOOK_INSIDE)
    diff = git(folder, "diff", "HEAD", *more, "--", *paths, index=index)
    text = without_credentials(diff.decode("utf-8", "replace"))
    if len(diff) <= DIFF_MAX:
        return text
    cut = text.encode()[:DIFF_MAX].decode("utf-8", "ignore")
    return f"{cut}\n[cut: {len(diff)} bytes in all]\n"


def _stays(file: Path, path: str, sent: Collection[str]) -> bool:
    return path not in sent and (file.is_symlink() or file.is_file())
