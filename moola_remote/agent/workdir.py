"""The working copy of a run: what its job starts in, and may write to.

The sealed tree is shared by every run of the same code, so a job never works in it. Its files are
cloned where the file system shares blocks (btrfs, XFS, bcachefs, ZFS), else copied: a hard link
would carry a write in place back into the sealed tree, whatever its mode says, where a job is root.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Container, Dict, Iterator, List, Tuple

from moola_remote.agent.constants import BLOCK, Json
from moola_remote.agent.files import PathLike, read_json, readable, write_json
from moola_remote.agent.layout import Run
from moola_remote.agent.lazy import shutil
from moola_remote.agent.trees import is_as_listed

FICLONE = 0x40049409
# What can't be cloned: another file system, or one that shares no blocks.
NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)


def make_workdir(run: Run, tree: Path) -> None:
    """Make ``workdir/`` of a run a copy of `tree`; one that was cut off is made again.

    ``workdir.json`` has the signature of each entry, so that what the job changed is found without
    reading what it left alone.
    """
    if (run.own / "workdir.json").is_file():
        return
    if run.workdir.exists():
        shutil.rmtree(run.workdir)
    run.workdir.mkdir(mode=0o700)
    can_clone = True
    for folder, names, files in os.walk(tree):
        here = run.workdir / os.path.relpath(folder, tree)
        for name in [*names, *files]:
            source = Path(folder, name)
            if source.is_symlink():
                (here / name).symlink_to(os.readlink(source))  # noqa: PTH115 - Path's would tidy it
            elif name in names:
                (here / name).mkdir()
            else:
                can_clone = copy_file(source, here / name, can_clone)
    entries = {os.fsdecode(name): signature(path) for name, path in below(run.workdir)}
    write_json(run.own / "workdir.json", {"entries": entries}, sync=False)


def copy_file(source: Path, dest: Path, can_clone: bool) -> bool:
    """Clone or copy a file with its mode; return whether the next one may be cloned."""
    with source.open("rb") as old, dest.open("wb") as new:
        mode = stat.S_IMODE(os.fstat(old.fileno()).st_mode)
        os.fchmod(new.fileno(), mode | stat.S_IWUSR)
        if can_clone:
            try:
                fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
            except OSError as err:
                if err.errno not in NO_CLONE:
                    raise
            else:
                return True
        for block in iter(lambda: old.read(BLOCK), b""):
            new.write(block)
    return False


def changed_paths(run: Run) -> Iterator[Tuple[bytes, bytes]]:
    """Yield name and path of what the job added to its working copy or changed in it."""
    before: Dict[str, List[int]] = (read_json(run.own / "workdir.json") or {}).get("entries") or {}
    for name, path in below(run.workdir):
        with contextlib.suppress(FileNotFoundError):
            if before.get(os.fsdecode(name)) != seen(path):
                yield name, path


def below(top: Path, leave: Container[bytes] = ()) -> Iterator[Tuple[bytes, bytes]]:
    """Yield name and path of everything below a folder, of folders only the empty ones.

    Names in `leave`, directly below, are left out. Links are not followed. A folder that can't be
    read even by its owner is yielded as it is. All as bytes: there may be very many, and a Path
    each costs more than what is done with it.
    """
    todo = [(b"", os.fsencode(top))]
    while todo:
        prefix, folder = todo.pop()
        try:
            entries = readable(folder, list_folder)
        except OSError:
            yield prefix[:-1], folder
            continue
        if prefix and not entries:
            yield prefix[:-1], folder
        for entry in entries:
            if not prefix and entry.name in leave:
                continue
            if entry.is_dir(follow_symlinks=False):
                todo.append((prefix + entry.name + b"/", entry.path))
            else:
                yield prefix + entry.name, entry.path


def list_folder(path: PathLike) -> "List[os.DirEntry[bytes]]":
    """Return the entries of a folder, their names as bytes.

    Raises:
        PermissionError: they can't be listed, or only that, as in a folder with mode 444.
    """
    with os.scandir(os.fsencode(path)) as entries:
        listed = list(entries)
    if listed:
        try:
            os.lstat(listed[0].path)
        except PermissionError:
            raise
        except OSError:  # gone, or a path that is too long: of the entry, not of the folder
            pass
    return listed


def signature(path: bytes) -> List[int]:
    """Return what changes with a file's content or mode: its kind, size, times and inode.

    The change time can't be set by a program, so that a write which restores the other times shows.
    """
    found = os.lstat(path)
    if stat.S_ISDIR(found.st_mode):
        return [found.st_mode]
    return [found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def seen(path: bytes) -> List[int]:
    """Return the signature; an empty one where the system gives none, as of a path too long for it.

    Raises:
        FileNotFoundError: it has gone meanwhile.
    """
    try:
        return signature(path)
    except FileNotFoundError:
        raise
    except OSError:
        return []


def spoiled(tree: Path, listed: Json) -> List[str]:
    """Return the paths of a sealed tree that are no longer as they were sealed, added ones too.

    Only what was touched since is read. A later deploy that links to a file touches it as well.
    """
    record = tree.with_name(f"{tree.name}.json")
    sealed_ns = record.stat().st_mtime_ns
    files = {file["path"]: file for file in listed.get("files") or []}
    wrong = set(files)
    for name, path in below(tree):
        text = os.fsdecode(name)
        was_touched = os.lstat(path).st_ctime_ns > sealed_ns
        if text in files and not (
            was_touched and not is_as_listed(tree, os.fsdecode(path), files[text])
        ):
            wrong.discard(text)
        elif text not in files:
            wrong.add(text)
    return sorted(wrong)
