"""Checkpoints: a folder each, whole or not there. safetensors and JSON; nothing is unpickled.

    checkpoints/epoch-0010/            10 epochs are done
    checkpoints/epoch-0010-batch-0003/ and 3 batches of the next
        tensors.safetensors  state.json  SHA256SUMS

It is written aside under a name with a dot, flushed to disk, then renamed. ``SHA256SUMS`` (in the
form of ``sha256sum -c``) shows a torn one; the one before it is then used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from moola_core.errors import CheckpointError
from moola_core.io.json_file import SCHEMA, Written, to_json

TENSORS, STATE, SUMS = "tensors.safetensors", "state.json", "SHA256SUMS"
NUM_KEPT = 2
MAX_STATE_BYTES = 1 << 26


@dataclass(frozen=True)
class Checkpoint:
    """What one folder holds: named tensors on the CPU, and a state that is JSON."""

    name: str
    tensors: dict[str, Tensor]
    state: dict[str, Any]


class State(Written):
    """``state.json``: how far it is, of which run; the last keys are not in each."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    epoch: int = Field(ge=0, lt=2**31)
    batch: int = Field(ge=0, lt=2**31)
    history: list[dict[str, Any]] = Field(default=[], max_length=1_000_000)
    identity: dict[str, Any] = Field(default={})
    total: float = 0.0
    best_epoch: int = 0
    best_value: float | None = None
    gradient_share: dict[str, float | None] = Field(default={})


def checkpoint_name(epoch: int, batch: int = 0) -> str:
    """Return the folder's name after `epoch` epochs and `batch` batches; names sort by time."""
    return f"epoch-{epoch:04d}" + (f"-batch-{batch:04d}" if batch else "")


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint below `folder`, and drop those before it but the last `NUM_KEPT`.

    Later ones are of an earlier run in the same folder; they stay.
    """
    files = {
        TENSORS: save({k: v.detach().cpu().contiguous() for k, v in checkpoint.tensors.items()}),
        STATE: to_json({"schema": SCHEMA, **checkpoint.state}, indent=1).encode(),
    }
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    aside = folder / f".{checkpoint.name}.{os.getpid()}"
    path = folder / checkpoint.name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for name, data in (files | {SUMS: sums.encode()}).items():
            _write_durably(aside / name, data)
        _flush(aside)
        _replace(aside, path)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)  # a full disk gets its space back
        raise
    upto = sorted(name for name in _complete(folder) if name <= path.name)
    for old in upto[:-NUM_KEPT]:
        shutil.rmtree(folder / old)
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint in `path`.

    Raises:
        CheckpointError: a file is missing, its SHA-256 differs, or it is not of its form.
    """
    try:
        lines = (path / SUMS).read_text(encoding="ascii").splitlines()
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        data = {name: (path / name).read_bytes() for name in (TENSORS, STATE)}
    except (OSError, UnicodeDecodeError) as err:
        raise CheckpointError(f"{path}: torn checkpoint, {err}") from err
    for name, content in data.items():
        if sums.get(name) != hashlib.sha256(content).hexdigest():
            raise CheckpointError(f"{path}: torn checkpoint, {name} differs from {SUMS}")
    with as_checkpoint_error(str(path)):
        if len(data[STATE]) > MAX_STATE_BYTES:
            raise ValueError(f"{STATE}: expected at most {MAX_STATE_BYTES} bytes")
        state = State.model_validate_json(data[STATE]).model_dump(exclude_unset=True)
        return Checkpoint(path.name, load(data[TENSORS]), state)


@contextlib.contextmanager
def as_checkpoint_error(where: str) -> Iterator[None]:
    """Raise a CheckpointError for what goes wrong inside; a checkpoint may be anyone's."""
    try:
        yield
    except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as err:
        reason = " ".join(str(err).split())[:200]
        raise CheckpointError(
            f"{where}: not a checkpoint that this version can use, {reason}"
        ) from err


def has_checkpoint(folder: Path) -> bool:
    """Return whether one was ever complete below `folder`; it may be torn now."""
    return any(_complete(folder))


def load_latest(
    folder: Path, is_ours: Callable[[Checkpoint], bool] = lambda _: True
) -> tuple[Checkpoint, list[str]]:
    """Return the latest complete checkpoint of `folder`, and a line for each torn one skipped.

    Args:
        folder: a run's folder, its ``checkpoints``, or one checkpoint.
        is_ours: false of one of another run in the same folder. The latest of all is returned only
            if every one is.

    Raises:
        CheckpointError: there is none, or none is whole.
    """
    if (folder / SUMS).is_file():
        return load_checkpoint(folder), []
    below = folder / "checkpoints" if (folder / "checkpoints").is_dir() else folder
    torn: list[str] = []
    other: Checkpoint | None = None
    for name in sorted(_complete(below), reverse=True):
        try:
            found = load_checkpoint(below / name)
        except CheckpointError as err:
            torn.append(str(err))
            continue
        if is_ours(found):
            return found, torn
        other = other or found
    if other is not None:
        return other, torn
    got = f"only torn ones ({len(torn)})" if torn else "none"
    raise CheckpointError(f"{below}: expected a checkpoint to resume from, got {got}")


def _complete(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        yield from (entry.name for entry in folder.iterdir() if entry.name.startswith("epoch-"))


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(aside: Path, path: Path) -> None:
    """Rename; a folder of that name is there only if it was torn or is being made again."""
    old = path.with_name(f".old-{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(old)
    aside.rename(path)
    _flush(path.parent)
    shutil.rmtree(old, ignore_errors=True)
