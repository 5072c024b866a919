"""The files of a folder outside git: all but those that .gitignore and .moolaignore name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".moolaignore"
# At the top of a file system, for root alone.
LOST_AND_FOUND = "lost+found"


def walk(folder: Path, *, ignore: bool) -> Iterator[bytes]:
    """Yield every file, link and empty folder below, less what the ignore files name.

    An ignore file counts below its folder; an empty folder has a slash behind.

    Raises:
        OSError: a folder can't be read.
    """
    specs: list[tuple[str, GitIgnoreSpec]] = []
    for here, folders, files in os.walk(folder, onerror=raise_closed):
        base = PurePosixPath(Path(here).relative_to(folder)).as_posix()
        base = "" if base == "." else f"{base}/"
        if ignore:
            specs = [(top, spec) for top, spec in specs if base.startswith(top)]
            found = [spec_of(Path(here, name)) for name in (".gitignore", IGNORE_FILE)]
            specs += [(base, spec) for spec in found if spec is not None]
        if base and not folders and not files:
            yield os.fsencode(base)
        links = [name for name in folders if Path(here, name).is_symlink()]
        folders[:] = sorted(
            name
            for name in folders
            if name not in links
            and name not in (".git", LOST_AND_FOUND)
            and not is_ignored(specs, f"{base}{name}/")
        )
        for name in [*files, *links]:
            if not is_ignored(specs, base + name):
                yield os.fsencode(base + name)


def raise_closed(err: OSError) -> None:
    """Raise the error of a folder that can't be read: `os.walk` passes it over in silence.

    One that is gone meanwhile, or is another thing by now, is none.
    """
    if not isinstance(err, FileNotFoundError | NotADirectoryError):
        raise err


def is_ignored(specs: Sequence[tuple[str, GitIgnoreSpec]], path: str) -> bool:
    """Return the verdict of the last ignore file that has one, as git does."""
    for top, spec in reversed(specs):
        verdict = spec.check_file(path[len(top) :]).include
        if verdict is not None:
            return verdict
    return False


def spec_of(path: Path) -> GitIgnoreSpec | None:
    """Return what an ignore file names; None where there is none."""
    if not path.is_file():
        return None
    import pathspec

    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        return pathspec.GitIgnoreSpec.from_lines(lines)
