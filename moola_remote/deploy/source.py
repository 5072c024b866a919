"""Where the code comes from: commit, branch and diff."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from moola_remote.deploy.git import git
from moola_remote.deploy.secret_files import is_secret

# A diff is for reading; the snapshot itself has every byte.
DIFF_MAX = 1 << 18


@dataclass(frozen=True)
class Source:
    """Where code comes from; `commit` is None before the first, `branch` on a detached head.

    `diff` is that of the tracked files; files that git does not know make the tree dirty too.
    """

    commit: str | None
    branch: str | None
    dirty: bool
    diff: str


def read_source(folder: Path, sent: Collection[str]) -> Source:
    """Return where the code in a git work tree comes from.

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
    # What was deleted may have been a secret: of such a file the name is recorded and nothing else.
    options = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--submodule=short")
    diff = git(folder, "diff", "HEAD", *options, "--irreversible-delete", "--", ".", *hidden)
    text = diff[:DIFF_MAX].decode("utf-8", "replace")
    return text + (f"\n[cut: {len(diff)} bytes in all]\n" if len(diff) > DIFF_MAX else "")


def _stays(file: Path, path: str, sent: Collection[str]) -> bool:
    return path not in sent and (file.is_symlink() or file.is_file())
