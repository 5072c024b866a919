"""Send a tree, and have it verified on the pod."""

from __future__ import annotations

import base64
import functools
import hashlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

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
# So few changed files travel within the request that has the pod link all others: rsync, its
# processes and a request more cost a third of a deploy.
INLINE_FILES, INLINE_BYTES = 64, 1 << 18
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
        LimitError: the pod's disk is full.
        TransferError: a file was changed while it was sent.
        UnreachableError: the connection was lost.
    """
    known = {"code": facts.trees.code, "data": facts.trees.data}.get(kind, [])
    if tree.digest in known:
        return 0
    latest = [agent.folder.tree(kind, digest) for digest in reversed(known[-LINKED_TREES:])]
    carrier = _Carrier(transport, tree, kind, agent.folder.incoming(kind, tree.digest), progress)
    only = None
    content = content_of(tree) if known else {}
    if known and (content or len(tree.files) >= MANY_FILES):
        try:
            only = _link(agent, tree, kind, content)
        except TransferError as err:  # what is said below, where it is so
            logger.info("%s %s: %s", kind, tree.digest, err.message)
        else:
            if not only:
                progress(kind, tree.size, tree.size)
                return sum(len(one.data) for one in content.values())
    sent = carrier.push(link_dests=latest, only=only)
    try:
        _seal(agent, tree, kind)
    except TransferError:
        _look_for_changes(tree)
        # Nothing changed here: what already existed had the right size and time, and other bytes.
        logger.info("%s %s: not as listed, comparing the content of each file", kind, tree.digest)
        sent += carrier.push(compare_content=True)
        _seal(agent, tree, kind)
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


def _list_of(tree: Tree, kind: Kind) -> dict[str, Any]:
    files = [
        {"path": path, "size": size, "sha256": sha256, "mode": mode}
        for path, size, sha256, mode in tree.files
    ]
    return {"schema": 1, "kind": kind, "digest": tree.digest, "files": files}


class Content(NamedTuple):
    """A file that travels within a request, and its time."""

    data: bytes
    modified_ns: int


def content_of(tree: Tree) -> dict[str, Content]:
    """Return by path what of a tree the pod is likely to lack; nothing where that is much.

    What has changed since it was listed is not among it.
    """
    if not 0 < len(tree.fresh) <= INLINE_FILES or tree.parts[0].name:
        return {}
    part = tree.parts[0]
    fresh = [file for file in tree.files if file.path in tree.fresh]
    if sum(file.size for file in fresh) > INLINE_BYTES:
        return {}
    found = {}
    for file in fresh:
        path = part.folder / file.path
        try:
            modified_ns, data = status_of(path).st_mtime_ns, path.read_bytes()
        except OSError:
            continue
        if hashlib.sha256(data).hexdigest() == file.sha256:
            found[file.path] = Content(data, modified_ns)
    return found


def link_request(tree: Tree, kind: Kind, content: Mapping[str, Content]) -> dict[str, Any]:
    """Return what ``link`` is asked, to make a tree of complete ones and `content`."""
    inline = {
        path: {"base64": base64.b64encode(one.data).decode(), "modified_ns": one.modified_ns}
        for path, one in content.items()
    }
    return {**_list_of(tree, kind), "content": inline}


def _link(agent: Agent, tree: Tree, kind: Kind, content: Mapping[str, Content]) -> set[str]:
    """Have a tree made of complete ones and `content`, and sealed; the paths that it still lacks.

    Raises:
        TransferError: it lacks nothing, and is not as listed.
    """
    asked = link_request(tree, kind, content)
    answer = agent.call("link", kind, tree.digest, stdin=asked, timeout_s=patience_s(tree))
    missing = answer.get("missing")
    return set(missing) if isinstance(missing, list) else {file.path for file in tree.files}


def _seal(agent: Agent, tree: Tree, kind: Kind) -> None:
    asked = _list_of(tree, kind)
    agent.call("seal", kind, tree.digest, stdin=asked, timeout_s=patience_s(tree))


def patience_s(tree: Tree) -> float:
    """Return how long a pod may take to verify a tree."""
    return 60.0 + tree.size / SEAL_BYTES_PER_S


def _look_for_changes(tree: Tree) -> None:
    """Raise a TransferError that names what has changed since it was listed."""
    listed = {file.path: file for file in tree.files}
    for part in tree.parts:
        for path in part.paths:
            file = listed[part.prefix + path]
            if _is_changed(part.folder, path, file):
                raise TransferError(
                    f"{safe(str(part.folder / path))}: changed while it was sent",
                    "run it again; what a program writes to meanwhile belongs into .gitignore or"
                    " out of the project",
                )


def _is_changed(folder: Path, path: str, file: File) -> bool:
    try:
        now = file_of(folder, Entry(path, status_of(folder / path)), "", HashCache(None))
    except (OSError, ConfigError):
        return True
    return (now.sha256, now.mode) != (file.sha256, file.mode)
