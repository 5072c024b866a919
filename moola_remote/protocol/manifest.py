"""``manifest.json`` of a run: parsed with limits, its names checked before any of them is used.

The pod wrote it, and is not trusted: a name that could leave the folder, hide, deceive on a screen,
or meet another name on a file system that ignores case is refused, and the whole manifest with it.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, ValidationError

from moola_remote.errors import TransferError
from moola_remote.protocol.types import Remote, fault_of
from moola_remote.text.sanitize import safe

MANIFEST = "manifest.json"
STATE = "state.json"
MAX_MANIFEST_BYTES = 16 * 2**20
MAX_ENTRIES = 100_000
MAX_PATH = 1024
MAX_NAME_BYTES = 255
MAX_DEPTH = 32
# Written here, not fetched.
RESERVED = {"manifest.json", "state.json"}


def check_path(path: str) -> str:
    """`path`, if it names a visible file below a run's folder.

    Raises:
        ValueError: it does not.
    """
    parts = path.split("/")
    if _folded(path) in RESERVED:
        raise ValueError("a file that is not the run's to declare")
    if len(parts) > MAX_DEPTH or any(
        len(part.encode("utf-8", "replace")) > MAX_NAME_BYTES for part in parts
    ):
        raise ValueError("too long or too deep")
    if "" in parts or any(part.startswith(".") for part in parts):
        raise ValueError("expected a relative path without '..', hidden or empty parts")
    if safe(path) != path or "\\" in path:
        raise ValueError("expected a name that a screen shows as it is")
    return path


Path: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(check_path)
]


class ManifestFile(Remote):
    """One file that a run declares."""

    path: Path
    size: Annotated[int, Field(ge=0, le=2**63)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Remote):
    """All files that a run declares."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    run_id: str
    files: Annotated[list[ManifestFile], Field(max_length=MAX_ENTRIES)]


def read_manifest(content: bytes, run_id: str) -> Manifest:
    """The manifest of a run.

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
    _check_together([file.path for file in manifest.files], run_id)
    return manifest


def _first(err: ValidationError) -> str:
    key, wrong = fault_of(err)
    value = err.errors(include_url=False, include_context=False)[0]["input"]
    got = safe(repr(value), 80) if isinstance(value, str) else "something else"
    return f"{key or 'the whole'}: {wrong}, got {got}"


def _check_together(paths: list[str], run_id: str) -> None:
    """No two names may meet on any file system, nor one be the folder of another."""
    seen: set[str] = set()
    for path in paths:
        key = _folded(path)
        if key in seen:
            raise TransferError(f"run {run_id}: manifest.json: {path!r} is there twice")
        seen.add(key)
    for path in paths:
        parts = _folded(path).split("/")
        if any("/".join(parts[:end]) in seen for end in range(1, len(parts))):
            raise TransferError(f"run {run_id}: manifest.json: {path!r} lies below a file")


def _folded(path: str) -> str:
    return unicodedata.normalize("NFKC", path).casefold()
