"""What a pod says of itself, its answers to ``probe`` and ``environment``: typed and bounded."""

from __future__ import annotations

import re
from dataclasses import field
from typing import Annotated, Any, TypeAlias

from moola_remote.config.light_model import LightModel
from moola_remote.config.marks import Before, Limits
from moola_remote.protocol.types import MAX_ENTRIES, Count, Name, Text

MAX_PACKAGES = 10_000
MAX_TREES = 10_000


def _digests(names: Any) -> Any:
    """Return those that are digests: a pod may have, and say, anything else too."""
    named = names[-MAX_TREES:] if isinstance(names, list) else []
    return [name for name in named if re.fullmatch(r"[0-9a-f]{16}", str(name))]


Digests: TypeAlias = Annotated[list[str], Before(_digests)]


class PodGpu(LightModel):
    """A GPU and its bytes of memory."""

    name: Name = ""
    memory_total: Count = 0


class Trees(LightModel):
    """Digests of the trees that are there, oldest first."""

    code: Digests = field(default_factory=list)
    data: Digests = field(default_factory=list)


class Torch(LightModel):
    """The environment's torch, its CUDA, and the name of its first GPU or ``cpu``."""

    version: Name
    cuda: Name | None = None
    device: Name | None = None


class Environment(LightModel):
    """The answer to ``environment``; `created` where it was made now."""

    created: bool = False
    python: Name
    packages: Annotated[dict[Name, Name], Limits(max_length=MAX_PACKAGES)] = field(
        default_factory=dict
    )
    torch: Torch | None = None


class PodInfo(LightModel):
    """The answer to ``probe``; None is what the pod doesn't know."""

    python: Name
    gpus: Annotated[list[PodGpu], Limits(max_length=MAX_ENTRIES)] = field(default_factory=list)
    cpus: Count = 0
    disk_free: Count | None = None
    rsync: Name | None = None
    cuda_driver: Name | None = None
    has_venv: bool = True
    write_error: Text | None = None
    noexec: bool = False
    trees: Trees = Trees()
    environment: Environment | None = None


class Removed(LightModel):
    """What `clean` has removed: a run, or a tree or environment by its digest."""

    kind: Name
    name: Name
    bytes: Count = 0


class Cleaned(LightModel):
    """The answer to ``clean``."""

    removed: Annotated[list[Removed], Limits(max_length=10 * MAX_TREES)]


Seconds = Annotated[float, Limits(ge=0, le=1e10)]


class Proof(LightModel):
    """The answer to ``guard``: which means could read the pod, or why none could; its clock."""

    proved: Annotated[list[Name], Limits(max_length=10)]
    why: Text
    now: Seconds


class Idleness(LightModel):
    """The answer to ``idle``: seconds without work, and to the pod's end; None: unknown."""

    idle_s: Seconds | None
    stops_in_s: Seconds | None
