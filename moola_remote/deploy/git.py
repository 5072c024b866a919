"""The files of a folder as git lists them."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from moola_remote.deploy.checkout import SUBMODULE
from moola_remote.deploy.ignore_files import LOST_AND_FOUND, raise_closed, walk
from moola_remote.deploy.left_out import SkipReport, size_of
from moola_remote.errors import ConfigError
from moola_remote.files.hashing import Status, status_of
from moola_remote.text.sanitize import safe

# Folders of tools; what has a pyvenv.cfg is a virtual environment under any name.
TOOL_FOLDERS = {
    *(".git", ".hg", ".jj", ".sl", ".bzr", ".svn"),
    *("__pycache__", ".venv", "node_modules", ".tox", ".nox"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"),
}

# The user's configuration: what is ignored, whose folders are trusted. The rest goes: as within a
# hook, another repository's variables would win over the folder.
USERS_OWN = re.compile(
    r"GIT_CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|GIT_DISCOVERY_ACROSS_FILESYSTEM"
)
DUBIOUS = "dubious ownership"
LOST = "not a git repository"
NO_TREE = "must be run in a work tree"
INDEX = "index file"
UNREADABLE = "Permission denied"
SILENT = "it says nothing"
UNREAD = re.compile(r"warning: unable to access '(.+)': (Permission denied|Input/output error)")
OTHER_TREE = "other working trees of this repository"
# Of so many files that git ignores the sizes are looked at: a twentieth of a second.
SIZED_FILES = 10_000


def is_in_git(folder: Path) -> bool:
    """Return whether `folder` lies in a git work tree.

    One that a repository above ignores as a whole does not: a home under git ignores most folders.
    """
    if (folder / ".git").exists():
        return True
    is_below = any((parent / ".git").exists() for parent in folder.parents)
    return is_below and not git(folder, "check-ignore", ".", fine=(0, 1))


def git(
    folder: Path,
    *args: str,
    stdin: bytes = b"",
    fine: Collection[int] = (0,),
    index: Path | None = None,
) -> bytes:
    """Return what git prints; `fine` are the exit codes that are no failure.

    `index` is used in place of the repository's.

    Raises:
        ConfigError: git is missing, or refuses.
    """
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("GIT_") or USERS_OWN.fullmatch(key)
    }
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *args],
            input=stdin,
            capture_output=True,
            check=False,
            env={**environment, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
            | ({"GIT_INDEX_FILE": str(index)} if index else {}),
        )
    except FileNotFoundError as err:
        raise ConfigError("git: not found on this machine", "apt-get install git") from err
    lines = os.fsdecode(done.stderr).strip().splitlines()
    if done.returncode not in fine:
        # Warnings come first.
        said = next((line for line in lines if line.startswith("fatal: ")), [*lines, SILENT][0])
        cure = _cure(folder, said)
        if not cure and any(UNREADABLE in line for line in lines):
            cure = "make it readable for you"
        raise ConfigError(f"{folder}: git {args[0]} failed, {safe(said, 300)}", cure)
    if args[0] == "ls-files":
        _require_ignore_files(folder, lines)
    return done.stdout


def _cure(folder: Path, said: str) -> str:
    if DUBIOUS in said:
        return f"git config --global --add safe.directory {folder}"
    if LOST in said:
        tops = (one / ".git" for one in (folder, *folder.parents))
        if next((top.is_dir() for top in tops if top.exists()), False):
            return "its .git is damaged: repair it, or clone it again beside"
        return "git worktree repair, where it was moved; or remove the .git that leads there"
    if NO_TREE in said:
        return "change to a working tree of it"
    return (
        "rm .git/index, then git reset: both leave your files as they are" if INDEX in said else ""
    )


def _require_ignore_files(folder: Path, warnings: Sequence[str]) -> None:
    """Check that git could read what says which files are ignored: it passes it over else.

    A home that is another user's has nothing to say.

    Raises:
        ConfigError: a file that is there could not be read.
    """
    unread = [found for line in warnings if (found := UNREAD.fullmatch(line))]
    if not unread:
        return
    top = Path(os.fsdecode(git(folder, "rev-parse", "--show-toplevel").removesuffix(b"\n")))
    for found in unread:
        path = top / found[1]
        if os.path.lexists(path):  # Path's own would raise where a folder above is closed
            raise ConfigError(
                f"{path}: can't be read, {found[2]}; what it has git ignore would be sent",
                "make it readable for you",
            )


def git_list(
    folder: Path, leavings: SkipReport, ignored: Sequence[bytes], prefix: bytes = b""
) -> Iterator[tuple[bytes, Status | None]]:
    """Tracked and untracked files, not the ignored ones; those of repositories inside too.

    Git has no name for an empty folder: those that it would not ignore come with a slash behind.

    Args:
        folder: the work tree.
        leavings: records the submodules that are not there, and what git was told to overlook.
        ignored: of `ignored_by_git`.
        prefix: what the names begin with.

    Yields:
        A name, and its status; None where it was not looked at, or is gone.
    """
    listed = git(folder, "ls-files", "-v", "-co", "--exclude-standard", "-z")
    overlooked = []
    top = os.fsencode(folder) + b"/"
    below_link = {b"": False}
    without_git: list[bytes] = []
    for tagged in listed.split(b"\0"):
        tag, name = tagged[:1], tagged[2:]
        if not name or _is_below_link(top, name.rpartition(b"/")[0], below_link):
            continue
        status = _lstat(top + name)
        # Lower case is assume-unchanged, S skip-worktree: what a sparse checkout has not is no
        # change.
        if tag.islower() or (tag == b"S" and status is not None):
            overlooked.append(name)
        if name.endswith(b"/") or (status is not None and stat.S_ISDIR(status.st_mode)):
            # A repository inside this one. A submodule that is not there is an empty folder; where
            # its .git was removed, its files are no repository's.
            inner = folder / os.fsdecode(name)
            if _is_other_tree(folder, inner):
                leavings.add(OTHER_TREE, os.fsdecode(prefix + name.rstrip(b"/")), 0)
            elif (inner / ".git").exists():
                below = prefix + name.rstrip(b"/") + b"/"
                yield from git_list(inner, leavings, ignored_by_git(inner), below)
            elif not name.endswith(b"/") and _is_submodule(folder, name):
                found = list(walk(inner, ignore=True))
                if found:
                    without_git.append(name + b"/")
                    yield from ((prefix + name + b"/" + one, None) for one in found)
                else:
                    leavings.add(SUBMODULE, os.fsdecode(prefix + name), 0)
        else:
            yield prefix + name, status
    if overlooked:
        leavings.overlooked[os.fsdecode(prefix)] = overlooked
    empty = _empty_in_git(folder, [*ignored, *without_git])
    yield from ((prefix + name, None) for name in empty)


def _is_other_tree(folder: Path, inner: Path) -> bool:
    """Return whether a repository inside is another working tree of the one around it."""
    try:
        leads_to = (inner / ".git").read_bytes()
    except OSError:  # a folder: a repository of its own
        return False
    if b"/worktrees/" not in leads_to:
        return False
    ours, theirs = (
        (one / os.fsdecode(git(one, "rev-parse", "--git-common-dir").rstrip(b"\n"))).resolve()
        for one in (folder, inner)
    )
    return ours == theirs


def _is_submodule(folder: Path, name: bytes) -> bool:
    """Return whether the index has a submodule there, not a file that a folder has replaced."""
    listed = git(folder, "ls-files", "-s", "-z", "--", f":(literal){os.fsdecode(name)}")
    return listed.startswith(b"160000 ")


def _is_below_link(top: bytes, folder: bytes, known: dict[bytes, bool]) -> bool:
    """Return whether a link leads to a folder of the index, whose files are gone to git then."""
    if folder not in known:
        above = folder.rpartition(b"/")[0]
        known[folder] = os.path.islink(top + folder) or _is_below_link(top, above, known)  # noqa: PTH114 - many
    return known[folder]


def _lstat(path: bytes) -> Status | None:
    try:
        return status_of(path)
    except OSError:
        return None


def _empty_in_git(folder: Path, names: Sequence[bytes]) -> Iterator[bytes]:
    ignored = {os.fsdecode(name) for name in names}
    empty = []
    for here, folders, files in os.walk(folder, onerror=raise_closed):
        base = Path(here).relative_to(folder).as_posix()
        if base != "." and not folders and not files:
            empty.append(os.fsencode(f"{base}/"))
        base = "" if base == "." else f"{base}/"
        folders[:] = [
            name
            for name in folders
            if f"{base}{name}/" not in ignored
            and name not in TOOL_FOLDERS
            and name != LOST_AND_FOUND
            # A repository inside speaks for itself.
            and not os.path.exists(os.path.join(here, name, ".git"))  # noqa: PTH110, PTH118 - closed
        ]
    if not empty:
        return
    asked = b"".join(name + b"\0" for name in empty)
    refused = git(folder, "check-ignore", "-z", "--stdin", stdin=asked, fine=(0, 1)).split(b"\0")
    yield from (name for name in empty if name not in refused)


def ignored_by_git(folder: Path) -> list[bytes]:
    """Return what git ignores here; a folder as a whole is one name."""
    ignored = git(folder, "ls-files", "-oi", "--exclude-standard", "--directory", "-z")
    found: list[bytes] = []
    for name in ignored.split(b"\0")[:-1]:
        # Of a folder with nothing but ignored files git names the files, too.
        if not (found and found[-1].endswith(b"/") and name.startswith(found[-1])):
            found.append(name)
    return found


def list_ignored(folder: Path) -> list[str]:
    """Return what git ignores in `folder`, without the folders of tools; folders end in a slash.

    Nothing outside of git.
    """
    return without_tools(ignored_by_git(folder)) if is_in_git(folder) else []


def without_tools(ignored: Iterable[bytes]) -> list[str]:
    """Return what git ignores, less the folders of tools."""
    names = map(os.fsdecode, ignored)
    return [path for path in names if not TOOL_FOLDERS.intersection(path.split("/"))]


def report_ignored(folder: Path, leavings: SkipReport, ignored: Iterable[bytes]) -> None:
    """Report what git ignores, with sizes unless there are very many files: it may be data."""
    paths = without_tools(ignored)
    leavings.ignored += paths
    budget = iter(range(SIZED_FILES))
    sizes = [size_of(folder / path, budget) for path in paths]
    is_known = next(budget, None) is not None
    for path, size in zip(paths, sizes, strict=True):
        leavings.add("ignored by git", path, size if is_known else 0)
