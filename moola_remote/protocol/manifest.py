"""``manifest.json`` of a run: parsed with limits, its names checked before any of them is used.

The pod wrote it, and is not trusted: a name that could leave the folder, or lies below a file or a
link, is refused, and the whole manifest with it. A name that is odd but harmless is kept as it is
on disk, and shown escaped.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, ValidationError, model_validator

from moola_remote.errors import TransferError
from moola_remote.protocol.types import Remote, fault_of
from moola_remote.text.sanitize import safe

MANIFEST = "manifest.json"
STATE = "state.json"
MAX_MANIFEST_BYTES = 64 * 2**20
MAX_ENTRIES = 200_000
MAX_PATH = 4096
MAX_NAME_BYTES = 255
MAX_DEPTH = 128
# Written here, not fetched; and the folder in which rsync keeps what was cut off.
RESERVED = {"manifest.json", "state.json"}
PARTIAL = ".rsync-partial"


def check_path(path: str) -> str:
    """Return `path`, if it names something below a run's folder.

    Raises:
        ValueError: it does not.
    """
    parts = path.split("/")
    if path in RESERVED or PARTIAL in parts:
        raise ValueError("a name that is not the run's to declare")
    if len(parts) > MAX_DEPTH or any(
        len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES for part in parts
    ):
        raise ValueError("too long or too deep")
    if "\0" in path or {"", ".", ".."} & set(parts):
        raise ValueError("expected a relative path without '.', '..' or empty parts")
    return path


Path: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(check_path)
]
Size: TypeAlias = Annotated[int, Field(ge=0, le=2**63)]


class Entry(Remote):
    """Something that a run declares; `path` names it, `raw` where the name is no UTF-8."""

    path: Path
    raw: Annotated[str, Field(max_length=2 * MAX_PATH)] | None = None

    @model_validator(mode="after")
    def _check_raw(self) -> Entry:
        if self.raw is not None:
            check_path(self.name)
        return self

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


class ManifestFile(Entry):
    """One file that a run declares."""

    size: Size
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Link(Entry):
    """A symbolic link."""

    target: Annotated[str, Field(min_length=1, max_length=MAX_PATH)]


class Unreadable(Entry):
    """What the pod could not read, or what is neither file, link nor folder."""

    reason: Annotated[str, Field(max_length=MAX_PATH)]
    size: Size = 0


class Manifest(Remote):
    """Everything that a run declares; `folders` are the empty ones."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    run_id: str
    files: Annotated[list[ManifestFile], Field(max_length=MAX_ENTRIES)]
    links: Annotated[list[Link], Field(max_length=MAX_ENTRIES)] = []
    folders: Annotated[list[Entry], Field(max_length=MAX_ENTRIES)] = []
    unreadable: Annotated[list[Unreadable], Field(max_length=MAX_ENTRIES)] = []

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
        manifest = Manifest.model_validate_json(content)
    except ValidationError as err:
        raise TransferError(f"run {run_id}: manifest.json: {_first(err)}") from err
    if manifest.run_id != run_id:
        raise TransferError(f"run {run_id}: manifest.json is that of {safe(manifest.run_id, 80)}")
    _check_together([entry.name for entry in manifest.entries], run_id)
    return manifest


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


def _first(err: ValidationError) -> str:
    key, wrong = fault_of(err)
    value: Any = err.errors(include_url=False, include_context=False)[0]["input"]
    got = safe(repr(value), 80) if isinstance(value, str) else "something else"
    return f"{key or 'the whole'}: {wrong}, got {got}"


def _check_together(paths: list[str], run_id: str) -> None:
    """No path may stand twice, nor below one that is a file or a link."""
    seen = set(paths)
    if len(seen) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise TransferError(f"run {run_id}: manifest.json: {safe(twice, 200)!r} is there twice")
    for path in paths:
        end = path.find("/")
        while end != -1:
            if path[:end] in seen:
                shown = safe(path, 200)
                raise TransferError(f"run {run_id}: manifest.json: {shown!r} lies below a file")
            end = path.find("/", end + 1)
