"""``seal``: an incoming tree becomes a complete one."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from pathlib import Path
from typing import Any, Collection, Dict, Iterable, Iterator, List, Set, Tuple

from moola_remote.agent.constants import SCHEMA, Json
from moola_remote.agent.errors import AgentError
from moola_remote.agent.files import (
    PathLike,
    readable,
    reservation_of,
    sha256_of_open,
    write_json,
)
from moola_remote.agent.layout import Pod
from moola_remote.agent.lazy import hashlib, shutil
from moola_remote.agent.locks import locked

# A thread is given so many at once: to hand over one costs more than to hash it.
FILES_A_THREAD = 64
# Below so much in all one thread does it: several would mostly wait for the interpreter.
THREADS_BYTES = 1 << 24


def check_digest(digest: Any) -> None:
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{8,64}", digest):
        raise AgentError("bad_request", f"digest {digest!r}: expected hex digits")


def reserve(pod: Pod, kind: str, digest: str) -> bool:
    """Have `clean` leave a tree or an environment until it is in a run's spec, or for a day.

    The record's own time stays: what was changed since then is read again after a run.

    Returns:
        Whether it is there, with its record.
    """
    record = pod.root / kind / f"{digest}.json"
    with locked(pod.queue_lock):
        if not record.is_file():
            return False
        with contextlib.suppress(OSError):  # a full disk: the deploy reports it
            reserved, now = reservation_of(record.with_suffix("")), time.time_ns()
            reserved.touch()
            # The kernel's own time may be a tick old, that of a spec before it.
            os.utime(reserved, ns=(now, now))
    return True


def seal(pod: Pod, kind: str, digest: str, wanted: Json) -> Json:
    """Make an incoming tree a complete one, if it is exactly what the list says."""
    check_digest(digest)
    pod.make()
    files = check_list(digest, wanted)
    with locked(pod.root / kind / ".lock"):
        is_sealed = finish(pod, kind, digest, files, wanted, is_exact=False)
        return {"sealed": is_sealed, "files": len(files)}


def finish(
    pod: Pod, kind: str, digest: str, files: Dict[str, Json], wanted: Json, *, is_exact: bool
) -> bool:
    """Do what `seal` does, under its lock; return False where the tree is complete already.

    An incoming tree that `is_exact` has the paths of the list and no other: it need not be looked
    through for them.
    """
    final, incoming = pod.root / kind / digest, pod.root / kind / f".incoming-{digest}"
    if final.is_dir() and reserve(pod, kind, digest):
        return False
    # A seal that was cut off between its two last steps left the tree without its list.
    tree = final if final.is_dir() else incoming
    there = {path: f"{tree}/{path}" for path in files} if is_exact else dict(entries(tree, files))
    missing, different = sorted(files.keys() - there), differing(tree, there, files)
    if missing or different:
        count = f"{len(missing)} missing, {len(different)} different"
        message = f"{kind} {digest}: {count}, of {len(files)} files"
        raise AgentError("different", message, missing=missing, different=different)
    if tree == incoming:
        incoming.rename(final)
    stored = {"schema": SCHEMA, "kind": kind, "digest": digest, "sealed_at": time.time()}
    write_json(final.with_name(f"{digest}.json"), {**stored, "files": wanted["files"]})
    return True


def check_list(digest: str, wanted: Json) -> Dict[str, Json]:
    """Return the files by path, if the list is well-formed and is what the digest names."""
    files: Dict[str, Json] = {}
    records: Dict[bytes, bytes] = {}
    for file in wanted.get("files") or []:
        path = file["path"]
        parts = f"/{path}/"
        is_odd = "//" in parts or "/./" in parts or "/../" in parts or "\0" in parts
        if is_odd or path in files:
            raise AgentError(
                "bad_request", f"{path!r}: not a path inside the tree, or listed twice"
            )
        files[path] = file
        name = path.encode() if path.isascii() else os.fsencode(path)
        records[name] = f"{file['mode']} {file['sha256']} ".encode() + name + b"\0"
    links = {path for path, file in files.items() if file["mode"] == "120000"}
    for path in links & folders_of(files) if links else ():  # what is written there leaves the tree
        message = f"{path!r}: a path is listed below it, expected none below a link"
        raise AgentError("bad_request", message)
    actual = hashlib.sha256(b"".join(records[name] for name in sorted(records))).hexdigest()
    if not actual.startswith(digest):
        raise AgentError("bad_request", f"digest {digest}: the list's own is {actual[:16]}")
    return files


def differing(tree: Path, there: Dict[str, str], files: Dict[str, Json]) -> List[str]:
    """Return what of a tree differs from its list; `there` has where each path lies."""
    paths = list(there)

    def of_part(part: List[str]) -> List[str]:
        return [path for path in part if not is_as_listed(tree, there[path], files[path])]

    if sum(file["size"] for file in files.values()) < THREADS_BYTES:
        return sorted(of_part(paths))
    from concurrent.futures import ThreadPoolExecutor

    parts = [
        paths[start : start + FILES_A_THREAD] for start in range(0, len(paths), FILES_A_THREAD)
    ]
    with ThreadPoolExecutor(4) as threads:  # hashing lets go of the interpreter's lock
        return sorted(path for found in threads.map(of_part, parts) for path in found)


def entries(tree: Path, keep: Collection[str]) -> Iterator[Tuple[str, str]]:
    """Yield listed files, links and empty folders below a tree; remove the rest."""
    folders = folders_of(keep)
    todo = [("", os.fspath(tree))]
    while todo:
        prefix, folder = todo.pop()
        try:
            with os.scandir(folder) as found:
                listed = list(found)
        except OSError:  # what is in it is then missing
            continue
        for entry in listed:
            name = prefix + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if name in keep:
                yield name, entry.path
            if is_folder and (name in keep or name in folders):
                todo.append((f"{name}/", entry.path))  # what is not listed in it goes
            elif is_folder:
                shutil.rmtree(entry.path)
            elif name not in keep:
                os.unlink(entry.path)  # noqa: PTH108 - one of very many


def folders_of(paths: Iterable[str]) -> Set[str]:
    """Return every folder that one of the paths lies in."""
    folders: Set[str] = set()
    for path in paths:
        for parent in parents(path):
            if parent in folders:
                break
            folders.add(parent)
    return folders


def parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def is_as_listed(tree: Path, path: str, listed: Json) -> bool:
    """Return whether a file, link or empty folder of a tree is what its list says."""
    mode = str(listed["mode"])
    if mode.startswith("100"):
        return is_same_file(path, listed)
    found = os.lstat(path)
    if mode == "040000":
        return stat.S_ISDIR(found.st_mode) and not os.listdir(path)  # noqa: PTH208 - a text
    if stat.S_ISLNK(found.st_mode):
        target = os.readlink(os.fsencode(path))  # noqa: PTH115 - as bytes, as it was hashed
        inside = os.path.normpath(os.path.join(os.path.dirname(os.fsencode(path)), target))  # noqa: PTH118, PTH120
        top = os.fsencode(tree)
        stays = not target.startswith(b"/") and (inside == top or inside.startswith(top + b"/"))
        is_same = hashlib.sha256(target).hexdigest() == listed["sha256"]
        return mode == "120000" and stays and is_same
    return False


def is_same_file(path: str, listed: Json) -> bool:
    """Return whether a regular file has the mode, the size and the hash of its list.

    It is opened before it is looked at: one way through the folders less, for each of very many.
    """
    try:
        fd = readable(path, open_itself)
    except OSError as err:
        if err.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):  # a link, or a socket
            return False
        raise
    try:
        found = os.fstat(fd)
        is_program = bool(found.st_mode & 0o100)
        if not stat.S_ISREG(found.st_mode) or is_program != listed["mode"].endswith("755"):
            return False
        size = found.st_size
        return bool(size == listed["size"]) and sha256_of_open(fd, size) == listed["sha256"]
    finally:
        os.close(fd)


def open_itself(path: PathLike) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
