"""``manifest.json`` of a run: parsed with limits, its names checked before any of them is used.

The pod wrote it, and is not trusted: a name that could leave the folder, or lies below a file or a
link, is refused, and the whole manifest with it. A name that is odd but harmless is kept as it is
on disk, and shown escaped; one that can't be made here counts as unreadable, and costs no other.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import os
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from msgspec import Meta, field, structs

from moola_remote.config.paths import MANIFEST, STATE
from moola_remote.config.typed import WrongValueError, decoded, read_by
from moola_remote.errors import TransferError
from moola_remote.protocol.types import Remote
from moola_remote.text.sanitize import safe

MAX_ENTRIES = 200_000
MAX_PATH = 4096
MAX_NAME_BYTES = 255
MAX_DEPTH = 512
# What the agent writes for a byte that is no UTF-8: four characters.
MAX_SHOWN = 4 * MAX_PATH
# Written here, not fetched; and the folder in which rsync keeps what was cut off.
RESERVED = {MANIFEST, STATE}
PARTIAL = ".rsync-partial"
NO_UTF8 = "surrogateescape"


def check_path(path: str) -> str:
    """Return `path`, if it names something below a run's folder.

    Raises:
        ValueError: it does not.
    """
    path.encode("utf-8", NO_UTF8)
    if path in RESERVED:
        raise ValueError("a name that is not the run's to declare")
    if "\0" in path or {"", ".", ".."} & set(path.split("/")):
        raise ValueError("expected a relative path without '.', '..' or empty parts")
    return path


def why_left(name: str) -> str:
    """Return why a harmless `name` can't be made here; empty where it can."""
    if len(name) <= MAX_NAME_BYTES and name.isascii() and PARTIAL not in name:
        return ""  # as nearly all
    parts = name.split("/")
    if PARTIAL in parts:
        return f"below a folder named {PARTIAL}, which rsync keeps for itself; rename it there"
    if len(parts) > MAX_DEPTH or len(name.encode("utf-8", NO_UTF8)) > MAX_PATH:
        return f"deeper than {MAX_DEPTH} folders, or longer than {MAX_PATH} bytes; pack it there"
    if any(len(part.encode("utf-8", NO_UTF8)) > MAX_NAME_BYTES for part in parts):
        return f"a name of more than {MAX_NAME_BYTES} bytes; rename it there"
    return ""


def _path(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_SHOWN:
        raise ValueError(f"expected a path of 1 to {MAX_SHOWN} characters")
    return check_path(value)


if TYPE_CHECKING:
    Path: TypeAlias = str
else:
    Path = read_by(_path, str)
Size: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]


def name_keys(name: str) -> dict[str, str]:
    """Return the keys that name an entry; `name` is as Python's file functions take it."""
    raw = os.fsencode(name)
    try:
        return {"path": raw.decode("utf-8")}
    except UnicodeDecodeError:
        shown = raw.decode("utf-8", "backslashreplace")
        return {"path": shown, "raw": base64.b64encode(raw).decode("ascii")}


class Entry(Remote, frozen=True, kw_only=True):
    """Something that a run declares; `path` names it, `raw` where the name is no UTF-8."""

    path: Path
    raw: Annotated[str, Meta(max_length=2 * MAX_PATH)] | None = None

    def __post_init__(self) -> None:
        """Check the name that counts."""
        if self.raw is not None:
            check_path(self.name)

    @property
    def name(self) -> str:
        """The path as Python's file functions take it."""
        if self.raw is None:
            return self.path
        try:
            return os.fsdecode(base64.b64decode(self.raw, validate=True))
        except binascii.Error as err:
            raise ValueError("raw: expected base64") from err

    @property
    def shown(self) -> str:
        """The path, safe for a screen."""
        return safe(self.path, MAX_PATH)


class ManifestFile(Entry, frozen=True, kw_only=True):
    """One file that a run declares."""

    size: Size
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Link(Entry, frozen=True, kw_only=True):
    """A symbolic link."""

    target: Annotated[str, Meta(min_length=1, max_length=MAX_PATH)]


class Unreadable(Entry, frozen=True, kw_only=True):
    """What the pod could not read, or what is neither file, link nor folder."""

    reason: Annotated[str, Meta(max_length=MAX_PATH)]
    size: Size = 0


class Manifest(Remote, frozen=True):
    """Everything that a run declares; `folders` are the empty ones."""

    schema_: Literal[1] = field(name="schema")
    run_id: str
    files: Annotated[list[ManifestFile], Meta(max_length=MAX_ENTRIES)]
    links: Annotated[list[Link], Meta(max_length=MAX_ENTRIES)] = []
    folders: Annotated[list[Entry], Meta(max_length=MAX_ENTRIES)] = []
    unreadable: Annotated[list[Unreadable], Meta(max_length=MAX_ENTRIES)] = []

    @property
    def entries(self) -> list[Entry]:
        """Everything, whatever it is."""
        return [*self.files, *self.links, *self.folders, *self.unreadable]


def read_manifest(content: bytes, run_id: str) -> Manifest:
    """Read the manifest of a run.

    Args:
        content: of ``manifest.json``.
        run_id: whose it must be.

    Raises:
        TransferError: it is none, another run's, or one of its names is refused.
    """
    try:
        manifest = decoded(Manifest, content)
    except WrongValueError as fault:
        where = fault.key or "the whole"
        raise TransferError(f"run {run_id}: manifest.json: {where}: {fault.wrong}") from fault
    if manifest.run_id != run_id:
        raise TransferError(f"run {run_id}: manifest.json is that of {safe(manifest.run_id, 80)}")
    _check_together([entry.name for entry in manifest.entries], run_id)
    return _without_left(manifest)


def _without_left(manifest: Manifest) -> Manifest:
    """Return a manifest that counts as unreadable what can't be made here."""
    left: dict[str, Unreadable] = {}
    for entry in manifest.entries:
        reason = why_left(entry.name)
        if reason:
            size = getattr(entry, "size", 0)
            left[entry.name] = Unreadable(path=entry.path, raw=entry.raw, reason=reason, size=size)
    if not left:
        return manifest
    lists = {
        kind: [entry for entry in getattr(manifest, kind) if entry.name not in left]
        for kind in ("files", "links", "folders", "unreadable")
    }
    lists["unreadable"] += left.values()
    return structs.replace(manifest, **lists)


def stays_inside(link: Link) -> bool:
    """Return whether a link leads to something below the run's folder, whatever else is a link.

    Only leading ``..`` count: behind a name that is a link itself they could lead anywhere.
    """
    parts = link.target.split("/")
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    is_plain = (
        not link.target.startswith("/") and ".." not in parts[ups:] and "\0" not in link.target
    )
    return is_plain and ups < len(link.name.split("/"))


def _check_together(paths: list[str], run_id: str) -> None:
    """No path may stand twice, nor below one that is a file or a link."""
    # In this order whatever lies below a path comes right behind it.
    in_order = sorted(paths, key=lambda path: path.replace("/", "\0"))
    for path, after in itertools.pairwise(in_order):
        if path == after or after.startswith(f"{path}/"):
            wrong = "is there twice" if path == after else "lies below a file"
            raise TransferError(f"run {run_id}: manifest.json: {safe(after, 200)!r} {wrong}")
