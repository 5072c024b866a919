"""A sealed tree of another pod, carried over this laptop; that pod is not trusted.

Its list is checked whole before the first byte, what arrives is checked against the list, and no
link is followed: whatever that pod says, only the relay folder is written to.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from pydantic import Field, ValidationError
from pydantic_core import from_json

from moola_remote.deploy import deploy, snapshot, upload
from moola_remote.errors import TransferError, UnreachableError
from moola_remote.pods.pod import Pod
from moola_remote.protocol.manifest import ManifestFile
from moola_remote.protocol.types import Remote
from moola_remote.results.staging import real_folder, sweep
from moola_remote.results.verify import verify
from moola_remote.ssh.read_file import read_file

MAX_LIST_BYTES = 64 * 2**20


def carry_tree(
    far: Pod, kind: upload.Kind, digest: str, folder: Path, watcher: deploy.Watcher
) -> snapshot.Tree:
    """Bring a tree of the pod `far` to `folder`, which is removed if anything is wrong.

    Raises:
        TransferError: its list is not the one that the digest names, or something else came.
        UnreachableError: the connection was lost; the next call continues from here.
    """
    source = far.agent.folder.tree(kind, digest)
    listed = read_file(far.transport, source.with_name(f"{digest}.json"), MAX_LIST_BYTES)
    files = read_list(listed, digest)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        _pull(far, source, folder, files, lambda done, total: watcher.update(kind, done, total))
        for file in files:
            if file.mode == snapshot.LINK:
                _make_link(far, source, folder, file)
            elif file.mode == snapshot.FOLDER:
                real_folder(folder, file.path)
            elif file.mode == "100755":
                (folder / file.path).chmod(0o700)
        _check_links(folder, files)
    except UnreachableError:
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise
    part = snapshot.Part("", folder, tuple(file.path for file in files))
    return snapshot.Tree(digest, files, (part,), ())


class _Listed(Remote):
    """A sealed tree's list, as its pod has it."""

    files: list[_ListedFile] = Field(max_length=200_000)


class _ListedFile(Remote):
    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    mode: str


def read_list(content: bytes, digest: str) -> tuple[snapshot.File, ...]:
    """Return the files of a sealed tree.

    Raises:
        TransferError: the list is not the one that the digest names, or could not be one.
    """
    try:
        listed = _Listed.model_validate(from_json(content)).files
    except (ValidationError, ValueError) as err:
        raise TransferError(f"tree {digest}: its list on the pod can't be read") from err
    files = tuple(snapshot.File(**file.model_dump()) for file in listed)
    is_inside = all(
        {".", "..", ""}.isdisjoint(file.path.split("/")) and "\0" not in file.path for file in files
    )
    if not is_inside or snapshot.digest_of(files) != digest:
        raise TransferError(f"tree {digest}: its list on the pod is not the one of this name")
    if not _is_tree(files):
        raise TransferError(f"tree {digest}: its list on the pod names something twice")
    return files


def _is_tree(files: tuple[snapshot.File, ...]) -> bool:
    """Return whether each path is named once, and what lies above one is a folder."""
    paths = {file.path for file in files}
    above = {str(folder) for file in files for folder in PurePosixPath(file.path).parents}
    return len(paths) == len(files) and paths.isdisjoint(above)


def _pull(
    far: Pod,
    source: PurePosixPath,
    folder: Path,
    files: tuple[snapshot.File, ...],
    progress: Callable[[int, int], None],
) -> None:
    """Bring the plain files, and have each as it is listed."""
    wanted = [
        ManifestFile(path=file.path, size=file.size, sha256=file.sha256)
        for file in files
        if file.mode not in (snapshot.LINK, snapshot.FOLDER)
    ]
    total = sum(file.size for file in wanted)
    largest = max((file.size for file in wanted), default=0)
    sweep(folder, {file.name for file in wanted})
    far.transport.pull(
        source,
        folder,
        files=[file.name for file in wanted],
        max_file=largest,
        max_bytes=total + largest,
        progress=lambda done: progress(min(done, total), total),
    )
    missing = verify(f"tree {source.name}", folder, wanted)
    if missing:
        raise TransferError(f"tree {source.name}: {missing[0].path}: {missing[0].why}")


def _make_link(far: Pod, source: PurePosixPath, folder: Path, file: snapshot.File) -> None:
    """Make a link as it is listed; its target is asked of the pod."""
    target = far.transport.run(["readlink", "-n", "--", str(source / file.path)]).stdout
    if (len(target), hashlib.sha256(target).hexdigest()) != (file.size, file.sha256):
        raise TransferError(f"tree {source.name}: a link on the pod is not as listed")
    head, _, name = file.path.rpartition("/")
    (real_folder(folder, head) / name).symlink_to(target.decode("utf-8", "surrogateescape"))


def _check_links(folder: Path, files: tuple[snapshot.File, ...]) -> None:
    """Raise a TransferError where a link leads out of the tree, also by way of another."""
    top = Path(os.path.realpath(folder))
    links = [folder / file.path for file in files if file.mode == snapshot.LINK]
    if not all(Path(os.path.realpath(link)).is_relative_to(top) for link in links):
        raise TransferError(f"tree {folder.name}: a link on the pod leads out of it")
