"""Which files of a folder travel: git's own list, or what the ignore files leave.

Secrets never do, nor links that leave the tree. What stays behind is counted by rule, so that
nobody wonders on the pod where a file is. An empty folder travels where a file in it would have.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from moola_remote.deploy.checkout import LFS_POINTER, is_lfs_pointer
from moola_remote.deploy.git import (
    TOOL_FOLDERS,
    git_list,
    ignored_by_git,
    is_in_git,
    report_ignored,
)
from moola_remote.deploy.ignore_files import IGNORE_FILE, is_ignored, spec_of, walk
from moola_remote.deploy.left_out import Entry, SkipReport
from moola_remote.deploy.secret_files import holds_private_key, is_in_environment, is_secret
from moola_remote.errors import ConfigError
from moola_remote.files.hashing import status_of

if TYPE_CHECKING:
    from moola_remote.files.hashing import AnyStatus, HashCache, Status
SECRET = "looks like a secret"  # noqa: S105 - a rule's name
# The rest is worth a word: somebody may look for it on the pod.
LEADS_OUT = "links that leave the tree"
RESULTS, TOOLS = "results", "tools' folders and virtual environments"
LONG = 200  # characters of a path that is too long
ORDINARY = frozenset({"ignored by git", RESULTS, TOOLS})


def list_tree(
    folder: Path,
    *,
    leavings: SkipReport,
    with_ignores: bool = True,
    exclude: Iterable[str] = (),
    also: Collection[str] = (),
    travelled: HashCache | None = None,
) -> list[Entry]:
    """Return what of `folder` travels, sorted by path.

    Args:
        folder: where it lies.
        leavings: records what stays behind, and why.
        with_ignores: git decides, or the ignore files outside of git; False takes all but secrets.
        exclude: paths below the folder that never travel, such as the results.
        also: files that travel whatever is ignored, since the project's own list names them.
        travelled: knows the files that travelled and have not changed since: what they hold was
            looked at then.

    Raises:
        ConfigError: git fails, or a folder can't be read.
    """
    try:
        return _list_tree(folder, leavings, with_ignores, exclude, also, travelled)
    except OSError as err:
        path = os.fsdecode(err.filename or folder)
        is_long = err.errno == errno.ENAMETOOLONG
        if is_long and len(path) > LONG:
            path = f"{path[:LONG]}..."
        raise ConfigError(
            f"{path}: can't be read, {err.strerror}",
            ("move or pack its folder" if is_long else "make it readable for you")
            + (", or name it in .gitignore" if with_ignores else ", or name other data"),
        ) from err


def _list_tree(
    folder: Path,
    leavings: SkipReport,
    with_ignores: bool,
    exclude: Iterable[str],
    also: Collection[str],
    travelled: HashCache | None,
) -> list[Entry]:
    statuses: dict[bytes, Status | None] = {}
    named = {os.fsencode(path) for path in also}
    if not with_ignores:
        names: Iterable[bytes] = walk(folder, ignore=False)
    elif is_in_git(folder):
        ignored = ignored_by_git(folder)
        statuses = dict(git_list(folder, leavings, ignored))
        names = _less(IGNORE_FILE, folder, statuses)
        report_ignored(folder, leavings, [name for name in ignored if name not in named])
    else:
        names = walk(folder, ignore=True)
    rules = _Rules(folder, [PurePosixPath(path).as_posix() for path in exclude])
    entries, top = [], f"{folder}/"
    for name in sorted(dict.fromkeys([*names, *named])):  # git's are in order already
        path = (name.decode() if name.isascii() else os.fsdecode(name)).rstrip("/")
        try:
            status = statuses.pop(name, None) or status_of(top + path)
        except (FileNotFoundError, NotADirectoryError):  # gone, and git still lists it
            continue
        known = travelled.recall(top + path, status) if travelled is not None else None
        rule = None if name in named else rules.why_not(path, status, is_known=known is not None)
        if rule is None:
            entries.append(Entry(path, status, known))
        else:
            leavings.add(rule, path, status.st_size)
    return entries


def _less(ignore_file: str, folder: Path, names: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the names that no ignore file of ours takes; each counts below its folder."""
    names = list(names)
    last = os.fsencode(ignore_file)
    ends = [os.fsdecode(name) for name in names if name.rpartition(b"/")[2] == last]
    tops = sorted({"", *(path[: -len(ignore_file)] for path in ends)})
    found = [(top, spec_of(folder / top / ignore_file)) for top in tops]
    specs = [(top, spec) for top, spec in found if spec is not None]
    if not specs:
        yield from names
        return
    for name in names:
        path = os.fsdecode(name)
        if not is_ignored([(top, spec) for top, spec in specs if path.startswith(top)], path):
            yield name


class _Rules:
    """What keeps a path from travelling; what is so of a whole folder is found out once.

    Args:
        folder: where the paths lie.
        excluded: paths below it that never travel.
    """

    def __init__(self, folder: Path, excluded: Sequence[str]) -> None:
        self._folder = folder
        self._top = f"{folder}/"  # many paths: a Path each costs more than what is done with it
        self._excluded = excluded
        self._environments: dict[str, bool] = {}
        self._of_folders: dict[str, str | None] = {}

    def why_not(self, path: str, status: AnyStatus, *, is_known: bool) -> str | None:
        """Return the rule; None where it travels. What `is_known` holds was looked at before."""
        parent, _, name = path.rpartition("/")
        if parent not in self._of_folders:
            self._of_folders[parent] = self._of_folder(parent)
        if path in self._excluded:
            return RESULTS
        rule = self._of_folders[parent] or (TOOLS if name in TOOL_FOLDERS else None)
        if rule is not None:
            return rule
        if stat.S_ISREG(status.st_mode):
            return None if is_known else self._of_file(path, status)
        if stat.S_ISLNK(status.st_mode):
            return None if _stays_inside(self._folder, path) else LEADS_OUT
        return None if stat.S_ISDIR(status.st_mode) else "neither file nor link"

    def _of_folder(self, path: str) -> str | None:
        if any(path == top or path.startswith(f"{top}/") for top in self._excluded):
            return RESULTS
        is_environment = is_in_environment(self._folder, f"{path}/x", self._environments)
        is_tools = path and (is_environment or not TOOL_FOLDERS.isdisjoint(path.split("/")))
        return TOOLS if is_tools else None

    def _of_file(self, path: str, status: AnyStatus) -> str | None:
        file = self._top + path
        if is_lfs_pointer(file, status):
            return LFS_POINTER
        if is_secret(path) or holds_private_key(file, status):
            return SECRET
        return None


def _stays_inside(folder: Path, path: str) -> bool:
    target = os.readlink(folder / path)  # noqa: PTH115 - Path's would tidy it
    if target.startswith("/"):
        return False
    landed = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120
    return landed != ".." and not landed.startswith("../")
