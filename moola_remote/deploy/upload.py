"""Send a tree, and have it verified on the pod."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from moola_remote.deploy.left_out import Entry
from moola_remote.deploy.snapshot import MEGABYTE, File, Tree, file_of
from moola_remote.errors import ConfigError, TransferError
from moola_remote.files.hashing import HashCache, status_of
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.agent_client.client import Agent
    from moola_remote.protocol.answers import PodInfo
    from moola_remote.ssh.transport import Transport
logger = logging.getLogger(__name__)
# The name of what is sent, bytes so far, bytes in all.
Progress = Callable[[str, int, int], None]
Kind = Literal["code", "data", "checkpoints"]
# In so many trees on the pod, the newest first, rsync looks for a file before it is sent: another
# project's deploy between costs nothing. rsync takes 20; each costs a stat a file that is new.
LINKED_TREES = 8
# From so many files on a verb that links what the pod has is cheaper than rsync's looks.
MANY_FILES = 2000
# How fast the slowest disk that we wait for is read when a tree is verified.
SEAL_BYTES_PER_S = 20 * MEGABYTE


def send(
    transport: Transport,
    agent: Agent,
    tree: Tree,
    kind: Kind,
    *,
    facts: PodInfo,
    progress: Progress = lambda *_: None,
) -> int:
    """Have a tree on the pod, complete and verified there.

    Args:
        transport: the connection.
        agent: on the pod.
        tree: what to send.
        kind: what it is.
        facts: the agent's answer to ``probe``; a tree that it names is not sent again.
        progress: called with the bytes so far.

    Returns:
        Bytes of file content that went over the line.

    Raises:
        TransferError: a file was changed while it was sent, or the disk is full.
        UnreachableError: the connection was lost.
    """
    known = {"code": facts.trees.code, "data": facts.trees.data}.get(kind, [])
    if tree.digest in known:
        return 0
    latest = [agent.folder.tree(kind, digest) for digest in reversed(known[-LINKED_TREES:])]
    listed = _list_of(tree, kind)
    carrier = _Carrier(transport, tree, kind, agent.folder.incoming(kind, tree.digest), progress)
    only = None
    if known and len(tree.files) >= MANY_FILES:
        only = _link(agent, tree, kind, listed)
    sent = carrier.push(link_dests=latest, only=only)
    try:
        _seal(agent, tree, kind, listed)
    except TransferError:
        _look_for_changes(tree)
        # Nothing changed here: what already existed had the right size and time, and other bytes.
        logger.info("%s %s: not as listed, comparing the content of each file", kind, tree.digest)
        sent += carrier.push(compare_content=True)
        _seal(agent, tree, kind, listed)
    progress(kind, tree.size, tree.size)
    return sent


@dataclass(frozen=True)
class _Carrier:
    """Brings the parts of a tree to the folder where it is received."""

    transport: Transport
    tree: Tree
    kind: Kind
    incoming: PurePosixPath
    progress: Progress

    def push(
        self,
        *,
        link_dests: Sequence[PurePosixPath] = (),
        compare_content: bool = False,
        only: Collection[str] | None = None,
    ) -> int:
        """Send the parts, or `only` these paths of the tree."""
        sizes = {file.path: file.size for file in self.tree.files}
        sent = before = 0
        for part in self.tree.parts:
            paths = [path for path in part.paths if only is None or part.prefix + path in only]
            if only is not None and not paths:
                continue
            sent += self.transport.push(
                part.folder,
                self.incoming / part.name,
                files=paths,
                link_dests=[tree / part.name for tree in link_dests],
                compare_content=compare_content,
                progress=functools.partial(self._report, before),
            )
            before += sum(sizes[part.prefix + path] for path in paths)
        return sent

    def _report(self, before: int, done: int) -> None:
        self.progress(self.kind, min(before + done, self.tree.size), self.tree.size)


def _list_of(tree: Tree, kind: Kind) -> bytes:
    files = [vars(file) for file in tree.files]
    listed = {"schema": 1, "kind": kind, "digest": tree.digest, "files": files}
    return json.dumps(listed).encode()


def _link(agent: Agent, tree: Tree, kind: Kind, listed: bytes) -> set[str]:
    """Have files of complete trees linked into the one that comes; the paths that are missing."""
    missing = agent.call("link", kind, tree.digest, stdin=listed).get("missing")
    return set(missing) if isinstance(missing, list) else {file.path for file in tree.files}


def _seal(agent: Agent, tree: Tree, kind: Kind, listed: bytes) -> None:
    patience_s = 60.0 + tree.size / SEAL_BYTES_PER_S
    agent.call("seal", kind, tree.digest, stdin=listed, timeout_s=patience_s)


def _look_for_changes(tree: Tree) -> None:
    """Raise a TransferError that names what has changed since it was listed."""
    listed = {file.path: file for file in tree.files}
    for part in tree.parts:
        for path in part.paths:
            file = listed[part.prefix + path]
            if _is_changed(part.folder, path, file):
                raise TransferError(
                    f"{safe(str(part.folder / path))}: changed while it was sent", "run it again"
                )


def _is_changed(folder: Path, path: str, file: File) -> bool:
    try:
        now = file_of(folder, Entry(path, status_of(folder / path)), "", HashCache(None))
    except (OSError, ConfigError):
        return True
    return (now.sha256, now.mode) != (file.sha256, file.mode)
