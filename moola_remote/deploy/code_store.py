"""The code of past runs on the laptop, by content: what a run was started with can be sent again.

    snapshots/<digest>.json    the list of a snapshot's files
    snapshots/files/<sha256>   the content of one file, of however many snapshots

Written aside, then renamed; the list comes last. What was damaged since is not given back.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from moola_remote.deploy.snapshot import FOLDER, LINK, File, Part, Tree, digest_of
from moola_remote.errors import ConfigError
from moola_remote.files import atomic
from moola_remote.files.hashing import sha256_of


class Archive:
    """The snapshots in a folder, which is made when it is needed.

    Args:
        folder: ``snapshots`` of the laptop.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = folder / "files"

    def has(self, digest: str) -> bool:
        """Return whether a snapshot was kept."""
        return self._list(digest).is_file()

    def keep(self, tree: Tree) -> None:
        """Keep a snapshot that lies here; of what is kept already, what was damaged is kept again.

        Raises:
            ConfigError: a file can't be read, or is not any more as it was listed.
        """
        listed = {file.path: file for file in tree.files}
        self._files.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            for part in tree.parts:
                for path in part.paths:
                    self._keep_file(part.folder / path, listed[part.prefix + path])
            self._keep_list(tree)
        except OSError as err:
            raise ConfigError(f"{self.folder}: can't keep the code, {err.strerror}") from err

    def prune(self, needed: Collection[str], before: float, *, dry_run: bool = False) -> int:
        """Drop what is old and no longer needed.

        Args:
            needed: digests of snapshots that stay.
            before: Unix time; what is younger stays.
            dry_run: drop nothing.

        Returns:
            Bytes of what was dropped, or would be.
        """
        lists = [path for path in self.folder.glob("*.json") if _is_file_before(path, before)]
        dropped = {path for path in lists if path.stem not in needed}
        kept = set()
        for path in set(self.folder.glob("*.json")) - dropped:
            with contextlib.suppress(ConfigError):  # damaged: it can't be restored
                kept |= {file.sha256 for file in self._read_list(path.stem)}
        files = (path for path in self._files.glob("*") if _is_file_before(path, before))
        dropped |= {path for path in files if path.name not in kept}
        freed = sum(path.stat().st_size for path in dropped)
        for path in () if dry_run else sorted(dropped):  # the lists first
            path.unlink()
        return freed

    def _list(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"

    def _keep_list(self, tree: Tree) -> None:
        try:
            for _ in self._read_list(tree.digest):
                pass
        except ConfigError:
            files = [file._asdict() for file in tree.files]
            content = json.dumps({"schema": 1, "files": files})
            atomic.write(self._list(tree.digest), content)
        else:
            self._list(tree.digest).touch()  # young again: its new run is not on record yet

    def _keep_file(self, path: Path, file: File) -> None:
        kept = self._files / file.sha256
        if file.mode == FOLDER:
            return
        with contextlib.suppress(OSError):
            if sha256_of(kept) == (file.size, file.sha256):
                kept.touch()
                return
        target = file.mode == LINK and os.fsencode(os.readlink(path))  # noqa: PTH115 - untidied
        atomic.write(kept, target or path.read_bytes())
        if sha256_of(kept) != (file.size, file.sha256):
            kept.unlink()
            raise ConfigError(f"{path}: changed while its run was started, so it is not kept")

    def restore(self, digest: str, folder: Path) -> Tree:
        """Return the snapshot `digest` as a tree in `folder`, byte for byte.

        Raises:
            ConfigError: it was not kept, or is damaged.
        """
        files = tuple(self._read_list(digest))
        for file in files:
            self._restore_file(file, folder / file.path)
        return Tree(digest, files, (Part("", folder, tuple(file.path for file in files)),), ())

    def _read_list(self, digest: str) -> Iterator[File]:
        try:
            listed = json.loads(self._list(digest).read_bytes())["files"]
            files = [File(**file) for file in listed]
        except (OSError, ValueError, TypeError, KeyError) as err:
            raise ConfigError(f"{self._list(digest)}: can't be read") from err
        if digest_of(files) != digest:
            raise ConfigError(f"{self._list(digest)}: is not the list of this snapshot")
        yield from files

    def _restore_file(self, file: File, path: Path) -> None:
        if file.mode == FOLDER:
            path.mkdir(parents=True)
            return
        kept = self._files / file.sha256
        try:
            if sha256_of(kept) != (file.size, file.sha256):
                raise ConfigError(f"{kept}: damaged, expected the SHA-256 that is its name")
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.mode == LINK:
                path.symlink_to(os.fsdecode(kept.read_bytes()))
            else:
                path.write_bytes(kept.read_bytes())
                path.chmod(int(file.mode[-3:], 8))
        except OSError as err:
            raise ConfigError(f"{kept}: can't be restored, {err.strerror}") from err


def _is_file_before(path: Path, before: float) -> bool:
    return path.is_file() and path.stat().st_mtime < before
