"""Which files of a folder travel: git's own list, or what the ignore files leave.

Secrets never do, nor links that leave the tree. What stays behind is counted by rule, so that
nobody wonders on the pod where a file is. An empty folder travels where a file in it would have.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import re
import stat
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from moola_remote.errors import ConfigError
from moola_remote.screen import safe

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, patterns)))


IGNORE_FILE = ".moolaignore"
# Folders of tools; what has a pyvenv.cfg is a virtual environment under any name.
TOOL_FOLDERS = {
    *(".git", ".hg", ".svn", "__pycache__", ".venv", "node_modules", ".tox", ".nox"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"),
}
SECRETS = _any_of(
    *(".env", ".env.*", ".envrc", "*.env"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.keystore"),
    *("*.kdbx", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc", ".pypirc"),
    *(".npmrc", ".git-credentials", ".htpasswd", ".pgpass", "kubeconfig", "credentials"),
    *(".dockercfg", ".s3cfg", ".boto", "application_default_credentials.json"),
    *("credentials.json", "credentials.toml", "credentials.y*ml", "credentials.ini"),
    *("secrets.json", "secrets.toml", "secrets.y*ml", "secrets.ini", "service-account*.json"),
)
NO_SECRETS = _any_of(".env.example", ".env.sample", ".env.template", ".env.dist", "*.pub")
SECRET_FOLDERS = {".ssh", ".aws", ".gnupg", ".kube", ".docker", ".runpod"}
SECRET = "looks like a secret"  # noqa: S105 - a rule's name
# The rest is worth a word: somebody may look for it on the pod.
ORDINARY = frozenset({"ignored by git", "results", "tools' folders and virtual environments"})
# Of so many files that git ignores the sizes are looked at: a twentieth of a second.
SIZED_FILES = 10_000
PRIVATE_KEY = re.compile(rb"\s*-----BEGIN [A-Z ]*PRIVATE KEY")


@dataclass(frozen=True)
class Entry:
    """What travels, a file, a link or an empty folder: its path, POSIX, and its ``lstat``."""

    path: str
    status: os.stat_result

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.status.st_mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is an empty folder."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def size(self) -> int:
        """Bytes of its content; of a link its target's."""
        return 0 if self.is_folder else self.status.st_size


@dataclass(frozen=True)
class LeftOut:
    """What one rule keeps from travelling; `paths` names the first few."""

    rule: str
    count: int
    size: int
    paths: tuple[str, ...]

    def __str__(self) -> str:
        named = ", ".join(safe(path, 80) for path in self.paths)
        return f"{self.rule}: {named}{', ...' if self.count > len(self.paths) else ''}"


class Leavings:
    """Collects what is left out."""

    NAMED = 5

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[str, int]]] = defaultdict(list)

    def add(self, rule: str, path: str, size: int) -> None:
        """Note that `rule` keeps `path` back."""
        self._found[rule].append((path, size))

    def all(self) -> tuple[LeftOut, ...]:
        """One line a rule."""
        return tuple(
            LeftOut(rule, len(found), sum(size for _, size in found), _first(found, self.NAMED))
            for rule, found in sorted(self._found.items())
            if found
        )


def _first(found: Sequence[tuple[str, int]], count: int) -> tuple[str, ...]:
    return tuple(path for path, _ in found[:count])


def list_tree(
    folder: Path, *, leavings: Leavings, with_ignores: bool = True, exclude: Iterable[str] = ()
) -> list[Entry]:
    """What of `folder` travels, sorted by path.

    Args:
        folder: where it lies.
        leavings: told what stays behind, and why.
        with_ignores: git decides, or the ignore files outside of git; False takes all but secrets.
        exclude: paths below the folder that never travel, such as the results.

    Raises:
        ConfigError: git fails, or a name is not UTF-8.
    """
    if not with_ignores:
        names: Iterable[bytes] = _walk(folder, ignore=False)
    elif is_in_git(folder):
        names = _less(IGNORE_FILE, folder, _git_list(folder))
        _tell_ignored(folder, leavings)
    else:
        names = _walk(folder, ignore=True)
    skipped = tuple(PurePosixPath(path).as_posix() for path in exclude)
    environments: dict[str, bool] = {}
    entries = []
    for name in sorted(set(names)):
        path = _decoded(folder, name).rstrip("/")
        try:
            status = os.lstat(folder / path)
        except FileNotFoundError:  # deleted, and git not told
            continue
        rule = _why_not(folder, path, status, skipped, environments)
        if rule is None:
            entries.append(Entry(path, status))
        else:
            leavings.add(rule, path, status.st_size)
    return entries


def is_in_git(folder: Path) -> bool:
    """Whether `folder` lies in a git work tree."""
    return any((parent / ".git").exists() for parent in [folder, *folder.parents])


def git(folder: Path, *args: str, stdin: bytes = b"", fine: Collection[int] = (0,)) -> bytes:
    """What git prints; `fine` are the exit codes that are no failure.

    Raises:
        ConfigError: git is missing, or refuses.
    """
    # As within a hook, another repository's variables would win over the folder.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *args],
            input=stdin,
            capture_output=True,
            check=False,
            env={**environment, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
        )
    except FileNotFoundError as err:
        raise ConfigError("git: not found on this machine", "apt-get install git") from err
    if done.returncode not in fine:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
        raise ConfigError(f"{folder}: git {args[0]} failed, {safe(said[0], 300)}")
    return done.stdout


def _git_list(folder: Path, prefix: bytes = b"") -> Iterator[bytes]:
    """Tracked and untracked files, not the ignored ones; those of repositories inside too.

    Git has no name for an empty folder: those that it would not ignore come with a slash behind.
    """
    yield from (prefix + name for name in _empty_in_git(folder))
    listed = git(folder, "ls-files", "-co", "--exclude-standard", "-z")
    for name in listed.split(b"\0"):
        inner = folder / os.fsdecode(name)
        if not name:
            continue
        if name.endswith(b"/") or (inner.is_dir() and not inner.is_symlink()):
            # A repository inside this one. A submodule that is not there is an empty folder.
            if (inner / ".git").exists():
                yield from _git_list(inner, prefix + name.rstrip(b"/") + b"/")
        else:
            yield prefix + name


def _empty_in_git(folder: Path) -> Iterator[bytes]:
    ignored = {os.fsdecode(name) for name in _ignored(folder)}
    empty = []
    for here, folders, files in os.walk(folder):
        base = Path(here).relative_to(folder).as_posix()
        if base != "." and not folders and not files:
            empty.append(os.fsencode(f"{base}/"))
        base = "" if base == "." else f"{base}/"
        folders[:] = [
            name
            for name in folders
            if f"{base}{name}/" not in ignored
            and name not in TOOL_FOLDERS
            # A repository inside speaks for itself.
            and not Path(here, name, ".git").exists()
        ]
    if not empty:
        return
    asked = b"".join(name + b"\0" for name in empty)
    refused = git(folder, "check-ignore", "-z", "--stdin", stdin=asked, fine=(0, 1)).split(b"\0")
    yield from (name for name in empty if name not in refused)


def _ignored(folder: Path) -> list[bytes]:
    """What git ignores here; a folder as a whole is one name."""
    ignored = git(folder, "ls-files", "-oi", "--exclude-standard", "--directory", "-z")
    return ignored.split(b"\0")[:-1]


def _tell_ignored(folder: Path, leavings: Leavings) -> None:
    """What git ignores, with its size unless it has very many files: a data set may lie there."""
    names = [name.decode("utf-8", "replace") for name in _ignored(folder)]
    paths = [path for path in names if not TOOL_FOLDERS.intersection(path.split("/"))]
    budget = iter(range(SIZED_FILES))
    sizes = [_size_of(folder / path, budget) for path in paths]
    is_known = next(budget, None) is not None
    for path, size in zip(paths, sizes, strict=True):
        leavings.add("ignored by git", path, size if is_known else 0)


def _size_of(path: Path, budget: Iterator[int]) -> int:
    """Bytes of a file, or of all below a folder as long as there is `budget`, one a file."""
    is_folder = path.is_dir() and not path.is_symlink()
    below = (Path(here, name) for here, _, files in os.walk(path) for name in files)
    total = 0
    for file in below if is_folder else [path]:
        if next(budget, None) is None:
            break
        with contextlib.suppress(OSError):  # gone meanwhile
            total += file.lstat().st_size
    return total


def _less(ignore_file: str, folder: Path, names: Iterable[bytes]) -> Iterator[bytes]:
    spec = _spec(folder / ignore_file)
    for name in names:
        if spec is None or not spec.match_file(os.fsdecode(name)):
            yield name


def _walk(folder: Path, *, ignore: bool) -> Iterator[bytes]:
    """Every file, link and empty folder below, less what the ignore files name.

    An ignore file counts below its folder; an empty folder has a slash behind.
    """
    specs: list[tuple[str, GitIgnoreSpec]] = []
    for here, folders, files in os.walk(folder):
        base = PurePosixPath(Path(here).relative_to(folder)).as_posix()
        base = "" if base == "." else f"{base}/"
        if ignore:
            specs = [(top, spec) for top, spec in specs if base.startswith(top)]
            found = [_spec(Path(here, name)) for name in (".gitignore", IGNORE_FILE)]
            specs += [(base, spec) for spec in found if spec is not None]
        if base and not folders and not files:
            yield os.fsencode(base)
        links = [name for name in folders if Path(here, name).is_symlink()]
        folders[:] = sorted(
            name
            for name in folders
            if name not in links and name != ".git" and not _is_ignored(specs, f"{base}{name}/")
        )
        for name in [*files, *links]:
            if not _is_ignored(specs, base + name):
                yield os.fsencode(base + name)


def _is_ignored(specs: Sequence[tuple[str, GitIgnoreSpec]], path: str) -> bool:
    """The last ignore file that has an opinion decides, as git does."""
    for top, spec in reversed(specs):
        verdict = spec.check_file(path[len(top) :]).include
        if verdict is not None:
            return verdict
    return False


def _spec(path: Path) -> GitIgnoreSpec | None:
    if not path.is_file():
        return None
    import pathspec

    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        return pathspec.GitIgnoreSpec.from_lines(lines)


def _decoded(folder: Path, name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as err:
        shown = name.decode("utf-8", "backslashreplace")
        raise ConfigError(
            f"{folder}: file name {shown!r} is not UTF-8", "rename it, or have it ignored"
        ) from err


def _why_not(
    folder: Path,
    path: str,
    status: os.stat_result,
    excluded: Sequence[str],
    environments: dict[str, bool],
) -> str | None:
    parts = path.split("/")
    if any(path == top or path.startswith(f"{top}/") for top in excluded):
        return "results"
    if TOOL_FOLDERS.intersection(parts) or _is_in_environment(folder, parts, environments):
        return "tools' folders and virtual environments"
    if stat.S_ISLNK(status.st_mode):
        return None if _stays_inside(folder, path) else "links that leave the tree"
    if stat.S_ISDIR(status.st_mode):
        return None
    if not stat.S_ISREG(status.st_mode):
        return "neither file nor link"
    if is_secret(path) or _holds_private_key(folder / path, status):
        return SECRET
    return None


def is_secret(path: str) -> bool:
    """Whether the name alone says that it should not leave this machine."""
    *folders, name = path.lower().split("/")
    if SECRET_FOLDERS.intersection(folders):
        return True
    return bool(SECRETS.match(name)) and not NO_SECRETS.match(name)


def _holds_private_key(path: Path, status: os.stat_result) -> bool:
    if status.st_size > 1 << 16:
        return False
    try:
        with path.open("rb") as file:
            return PRIVATE_KEY.match(file.read(64)) is not None
    except OSError:  # told when it is hashed
        return False


def _is_in_environment(folder: Path, parts: Sequence[str], known: dict[str, bool]) -> bool:
    for end in range(1, len(parts)):
        parent = "/".join(parts[:end])
        if parent not in known:
            known[parent] = (folder / parent / "pyvenv.cfg").is_file()
        if known[parent]:
            return True
    return False


def _stays_inside(folder: Path, path: str) -> bool:
    target = os.readlink(folder / path)  # noqa: PTH115 - Path's would tidy it
    if target.startswith("/"):
        return False
    landed = os.path.normpath(os.path.join(os.path.dirname(path), target))  # noqa: PTH118, PTH120
    return landed != ".." and not landed.startswith("../")
