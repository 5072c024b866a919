"""A sealed tree as a pod has it, its list and its files; the pod is not trusted."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta, structs

from moola_remote.config.typed import read_by, read_json, typed
from moola_remote.deploy.bundled import is_built
from moola_remote.deploy.snapshot import File, digest_of
from moola_remote.errors import TransferError
from moola_remote.pods.pod import Pod
from moola_remote.protocol.types import Remote
from moola_remote.ssh.read_file import read_file

MAX_LIST_BYTES = 64 * 2**20
MAX_REQUIREMENTS_BYTES = 16 << 20  # a lock of a large project has a few


def _path(value: Any) -> str:
    """Return a path: with surrogates for bytes that are no UTF-8."""
    if not isinstance(value, str):
        raise ValueError("expected a path")  # noqa: TRY004 - msgspec tells where of no other
    os.fsencode(value)  # halves of a pair that stand for no byte are no path
    return value


if TYPE_CHECKING:
    _ListedPath: TypeAlias = str
else:
    _ListedPath = read_by(_path, str)


class _ListedFile(Remote, frozen=True):
    path: _ListedPath
    size: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    mode: str


class _Listed(Remote, frozen=True):
    """A sealed tree's list, as its pod has it."""

    files: Annotated[list[_ListedFile], Meta(max_length=200_000)]


def read_list(content: bytes, digest: str) -> tuple[File, ...]:
    """Return the files of a sealed tree.

    Raises:
        TransferError: the list is not the one that the digest names, or could not be one.
    """
    try:
        listed = typed(_Listed, read_json(content)).files
    except ValueError as err:
        raise TransferError(f"tree {digest}: its list on the pod can't be read") from err
    files = tuple(File(**structs.asdict(file)) for file in listed)
    is_inside = all(
        {".", "..", ""}.isdisjoint(file.path.split("/")) and "\0" not in file.path for file in files
    )
    if not is_inside or digest_of(files) != digest:
        raise TransferError(f"tree {digest}: its list on the pod is not the one of this name")
    if not _is_tree(files):
        raise TransferError(f"tree {digest}: its list on the pod names something twice")
    return files


def _is_tree(files: tuple[File, ...]) -> bool:
    """Return whether each path is named once, and what lies above one is a folder."""
    paths = {file.path for file in files}
    above = {str(folder) for file in files for folder in PurePosixPath(file.path).parents}
    return len(paths) == len(files) and paths.isdisjoint(above)


@dataclass(frozen=True)
class SealedReader:
    """A reader of a snapshot on the pod, of digest `code`."""

    pod: Pod
    code: str

    @property
    def folder(self) -> Path:
        """The project that it was made of."""
        return self.pod.project.folder

    @functools.cached_property
    def _place(self) -> PurePosixPath:
        return self.pod.agent.folder.tree("code", self.code)

    @functools.cached_property
    def _hashes(self) -> dict[str, str]:
        listed = self._place.with_name(f"{self.code}.json")
        content = read_file(self.pod.transport, listed, MAX_LIST_BYTES)
        return {file.path: file.sha256 for file in read_list(content, self.code)}

    def __call__(self, path: PurePosixPath, /) -> str | None:
        """See `Reader`."""
        there = self.pod.transport.run(["test", "-f", str(self._place / path)])
        if there.returncode != 0:
            return None
        content = read_file(self.pod.transport, self._place / path, MAX_REQUIREMENTS_BYTES)
        return content.decode("utf-8", "replace")

    def look(self, path: PurePosixPath, /) -> list[str] | None:
        """See `Reader`."""
        name = str(path)
        if name in self._hashes:
            return [name]
        top = "" if name == "." else f"{name}/"
        below = [one for one in self._hashes if one.startswith(top)]
        direct = sorted(one for one in below if "/" not in one[len(top) :] and is_built(one))
        return direct if below else None

    def sha256(self, path: PurePosixPath, /) -> str:
        """See `Reader`."""
        return self._hashes[str(path)]
