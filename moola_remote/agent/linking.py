"""``link``: an incoming tree takes what came with the request, and what complete ones have."""

from __future__ import annotations

import base64
import contextlib
import os
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

from moola_remote.agent.constants import Json
from moola_remote.agent.files import read_json
from moola_remote.agent.layout import Pod
from moola_remote.agent.locks import locked
from moola_remote.agent.trees import check_digest, check_list, finish

# So many complete trees are looked at for files of another, the youngest first.
MAX_TREES = 8


def link(pod: Pod, kind: str, digest: str, wanted: Json) -> Json:
    """Make an incoming tree of what came with the request and what complete trees have.

    With ``content`` a few files travel in the request. What is linked is not read; where then
    nothing is missing, all is hashed and the tree sealed at once. Else name what has to be sent:
    rsync does the same in five times the CPU, on both sides.
    """
    check_digest(digest)
    pod.make()
    folder = pod.root / kind
    files = check_list(digest, wanted)
    missing = dict(files)
    with locked(folder / ".lock"):
        incoming = folder / f".incoming-{digest}"
        is_exact = False
        if not (folder / digest).is_dir():
            is_exact = not os.path.lexists(incoming)  # then it holds what is put there now
            take_content(incoming, wanted.get("content") or {}, missing)
            records = sorted(folder.glob("[!.]*.json"), key=modified_ns, reverse=True)
            for record in records[:MAX_TREES]:
                if len(missing) * 10 <= len(files):
                    break  # the rest is rsync's
                there = (read_json(record) or {}).get("files")
                if isinstance(there, list):  # of a damaged one nothing
                    link_files(record.with_suffix(""), incoming, there, missing)
            if missing:
                return {"missing": list(missing)}
        return {
            "missing": [],
            "sealed": finish(pod, kind, digest, files, wanted, is_exact=is_exact),
        }


def take_content(incoming: Path, content: Json, missing: Dict[str, Json]) -> None:
    """Write files that came in a request: aside, since what lies there may be a sealed tree's."""
    for path, held in content.items():
        file, dest = missing.get(path), incoming / path
        if file is None or file["mode"] not in ("100644", "100755"):
            continue
        aside = dest.with_name(f".{os.getpid()}.aside")
        try:
            os.makedirs(dest.parent, mode=0o755, exist_ok=True)  # noqa: PTH103 - with its mode
            aside.write_bytes(base64.b64decode(held["base64"]))
            aside.chmod(0o755 if file["mode"] == "100755" else 0o644)
            os.utime(aside, ns=(held["modified_ns"], held["modified_ns"]))
            aside.replace(dest)
        except OSError:  # rsync sends it, and says what is wrong
            with contextlib.suppress(OSError):
                aside.unlink()
            continue
        del missing[path]


def modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def link_files(tree: Path, incoming: Path, there: List[Any], missing: Dict[str, Json]) -> None:
    """Link what a tree is said to have of the `missing`, which are then missing no more."""
    last: Optional[str] = None
    fds: Tuple[int, ...] = ()
    try:
        for file in there:
            path = file.get("path") if isinstance(file, dict) else None
            if not isinstance(path, str) or path not in missing or missing[path] != file:
                continue
            parent, _, name = path.rpartition("/")
            try:
                if parent != last:  # in the order of a list, nearly all are in the last one's
                    close(fds)
                    last, fds = parent, ()
                    fds = folders_for(f"{tree}/{parent}", f"{incoming}/{parent}")
                if file["mode"] == "040000":
                    os.mkdir(name, 0o755, dir_fd=fds[1])
                else:
                    os.link(name, name, src_dir_fd=fds[0], dst_dir_fd=fds[1], follow_symlinks=False)
            except (OSError, IndexError):  # rsync sends it, or compares what lies there
                continue
            del missing[path]
    finally:
        close(fds)


def folders_for(old: str, new: str) -> Tuple[int, ...]:
    """Return both folders, opened; the second is made where it is missing."""
    source = os.open(old, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.makedirs(new, mode=0o755, exist_ok=True)  # noqa: PTH103 - a text
        return source, os.open(new, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        os.close(source)
        raise


def close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
