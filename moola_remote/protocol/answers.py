"""What a pod says of itself, its answers to ``probe`` and ``environment``: typed and bounded."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

from moola_remote.protocol.types import MAX_ENTRIES, Count, Name, Remote, Text

MAX_PACKAGES = 10_000
MAX_TREES = 10_000


def _digests(names: Any) -> Any:
    """Return those that are digests: a pod may have, and say, anything else too."""
    named = names[-MAX_TREES:] if isinstance(names, list) else []
    return [name for name in named if re.fullmatch(r"[0-9a-f]{16}", str(name))]


Digests: TypeAlias = Annotated[list[str], BeforeValidator(_digests)]


class PodGpu(Remote):
    """A GPU and its bytes of memory."""

    name: Name = ""
    memory_total: Count = 0


class Trees(Remote):
    """Digests of the trees that are there, oldest first."""

    code: Digests = Field(default=[])
    data: Digests = Field(default=[])


class Torch(Remote):
    """The environment's torch, its CUDA, and the name of its first GPU or ``cpu``."""

    version: Name
    cuda: Name | None = None
    device: Name | None = None


class Environment(Remote):
    """The answer to ``environment``; `created` where it was made now."""

    created: bool = False
    python: Name
    packages: dict[Name, Name] = Field(default={}, max_length=MAX_PACKAGES)
    torch: Torch | None = None


class PodInfo(Remote):
    """The answer to ``probe``; None is what the pod doesn't know."""

    python: Name
    gpus: list[PodGpu] = Field(default=[], max_length=MAX_ENTRIES)
    cpus: Count = 0
    disk_free: Count | None = None
    rsync: Name | None = None
    cuda_driver: Name | None = None
    has_venv: bool = True
    write_error: Text | None = None
    noexec: bool = False
    trees: Trees = Trees()
    environment: Environment | None = None


class Removed(Remote):
    """What `clean` has removed: a run, or a tree or environment by its digest."""

    kind: Name
    name: Name
    bytes: Count = 0


class Cleaned(Remote):
    """The answer to ``clean``."""

    removed: list[Removed] = Field(max_length=10 * MAX_TREES)


Seconds = Annotated[float, Field(ge=0, le=1e10)]


class Proof(Remote):
    """The answer to ``guard``: which means could read the pod, or why none could; its clock."""

    proved: list[Name] = Field(max_length=10)
    why: Text
    now: Seconds


class Idleness(Remote):
    """The answer to ``idle``: seconds without work, and to the pod's end; None: unknown."""

    idle_s: Seconds | None
    stops_in_s: Seconds | None
