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

from moola_remote.deploy import deploy, snapshot, upload
from moola_remote.deploy.sealed_list import MAX_LIST_BYTES, read_list
from moola_remote.errors import TransferError, UnreachableError
from moola_remote.pods.pod import Pod
from moola_remote.protocol.manifest import ManifestFile, name_keys
from moola_remote.results.staging import real_folder, sweep
from moola_remote.results.verify import verify
from moola_remote.ssh.read_file import read_file


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


def _pull(
    far: Pod,
    source: PurePosixPath,
    folder: Path,
    files: tuple[snapshot.File, ...],
    progress: Callable[[int, int], None],
) -> None:
    """Bring the plain files, and have each as it is listed."""
    wanted = [
        ManifestFile(**name_keys(file.path), size=file.size, sha256=file.sha256)
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
