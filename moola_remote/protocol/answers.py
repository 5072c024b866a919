"""What a pod says of itself, its answers to ``probe`` and ``environment``: typed and bounded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta

from moola_remote.config.typed import read_by
from moola_remote.protocol.types import MAX_ENTRIES, Count, Name, Remote, Text, names_by_name

MAX_PACKAGES = 10_000
MAX_TREES = 10_000
_DIGEST = re.compile(r"[0-9a-f]{16}")


def _digests(names: Any) -> list[str]:
    """Return those that are digests: a pod may have, and say, anything else too."""
    named = names[-MAX_TREES:] if isinstance(names, list) else []
    return [name for name in named if isinstance(name, str) and _DIGEST.fullmatch(name)]


if TYPE_CHECKING:
    Digests: TypeAlias = list[str]
    Packages: TypeAlias = dict[str, str]
else:
    Digests = read_by(_digests, list)
    Packages = names_by_name(MAX_PACKAGES)


class PodGpu(Remote, frozen=True):
    """A GPU and its bytes of memory."""

    name: Name = ""
    memory_total: Count = 0


class Trees(Remote, frozen=True):
    """Digests of the trees that are there, oldest first."""

    code: Digests = []
    data: Digests = []


class Torch(Remote, frozen=True):
    """The environment's torch, its CUDA, and the name of its first GPU or ``cpu``."""

    version: Name
    cuda: Name | None = None
    device: Name | None = None


class Environment(Remote, frozen=True, kw_only=True):
    """The answer to ``environment``; `created` where it was made now."""

    created: bool = False
    python: Name
    packages: Packages = {}
    torch: Torch | None = None


class PodInfo(Remote, frozen=True):
    """The answer to ``probe``; None is what the pod doesn't know.

    `sealed`: the tree of code that it was asked to make was not there, and is now.
    """

    python: Name
    gpus: Annotated[list[PodGpu], Meta(max_length=MAX_ENTRIES)] = []
    cpus: Count = 0
    disk_free: Count | None = None
    rsync: Name | None = None
    cuda_driver: Name | None = None
    has_venv: bool = True
    write_error: Text | None = None
    noexec: bool = False
    sealed: bool = False
    trees: Trees = Trees()
    environment: Environment | None = None


class Removed(Remote, frozen=True):
    """What `clean` has removed: a run, or a tree or environment by its digest."""

    kind: Name
    name: Name
    bytes: Count = 0


class Cleaned(Remote, frozen=True):
    """The answer to ``clean``."""

    removed: Annotated[list[Removed], Meta(max_length=10 * MAX_TREES)]


Seconds = Annotated[float, Meta(ge=0, le=1e10)]


class Proof(Remote, frozen=True):
    """The answer to ``guard``: which means could read the pod, or why none could; its clock."""

    proved: Annotated[list[Name], Meta(max_length=10)]
    why: Text
    now: Seconds


class Idleness(Remote, frozen=True):
    """The answer to ``idle``: seconds without work, and to the pod's end; None: unknown."""

    idle_s: Seconds | None
    stops_in_s: Seconds | None
