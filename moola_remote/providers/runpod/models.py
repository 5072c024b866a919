"""What RunPod's API v2 answers: typed, bounded, lenient where document and traffic differ.

Prices are USD an hour, disks and memory GB. What may be missing or null in some state of a pod is
optional here; keys that we don't know are passed over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

from msgspec import Meta

from moola_remote.protocol.types import Count, Name, Remote, Text

MAX_ITEMS = 10_000
GONE = "TERMINATED"
Price: TypeAlias = Annotated[float, Meta(ge=0, le=1e6)]
PodId: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]


class Answer(Remote, frozen=True, rename="camel"):
    """The base of every answer: the API writes camelCase."""


class SshAddress(Answer, frozen=True):
    """Where a pod's SSH server is reached."""

    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:-]{1,253}\Z")]
    port: Annotated[int, Meta(ge=1, le=65535)]
    username: Name


class Ssh(Answer, frozen=True):
    """`direct` is null until ``22/tcp`` has a public port."""

    direct: SshAddress | None = None


class PodGpu(Answer, frozen=True):
    """The type that was given."""

    id: Name


class Use(Answer, frozen=True):
    """Per cent."""

    util: float | None = None


class Runtime(Answer, frozen=True):
    """Gauges of a running container; null or empty for a while after the start."""

    gpus: Annotated[list[Use], Meta(max_length=64)] = []


class Volume(Answer, frozen=True):
    """The disk of a pod that outlives a stop."""

    size: Count


class Mounts(Answer, frozen=True):
    """`persistent` is a disk on the pod's own host."""

    persistent: Volume | None = None


class GlobalNetworking(Answer, frozen=True):
    """The network between pods; `ip` is there once the pod has a machine."""

    enabled: bool = False
    ip: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]{2,45}\Z")] | None = None


class Pod(Answer, frozen=True):
    """One pod. ``RUNNING`` is said from the time it is scheduled on, long before SSH answers."""

    id: PodId
    name: Text
    status: Name
    gpu: PodGpu | None = None
    cloud: Name = ""
    data_center_id: Name | None = None
    cost: Price = 0.0
    mounts: Mounts = Mounts()
    ssh: Ssh = Ssh()
    runtime: Runtime | None = None
    global_networking: GlobalNetworking = GlobalNetworking()
    created_at: datetime | None = None
    started_at: datetime | None = None


class Pagination(Answer, frozen=True):
    """Absent in some answers."""

    next_cursor: Annotated[str, Meta(max_length=4096)] | None = None
    has_next_page: bool = False


class PodList(Answer, frozen=True):
    """One page of pods."""

    pods: Annotated[list[Pod], Meta(max_length=MAX_ITEMS)]
    pagination: Pagination = Pagination()


class Prices(Answer, frozen=True):
    """Of one GPU on each cloud."""

    secure: Price
    community: Price


class MaxCount(Answer, frozen=True):
    """GPUs that one pod may have."""

    secure: Count
    community: Count


class Stock(Answer, frozen=True):
    """One data centre's; ``NONE``, ``LOW``, ``MEDIUM`` or ``HIGH``: a hint, no reservation."""

    id: Name
    availability: Name


class GpuType(Answer, frozen=True):
    """One line of the catalog; the stock is that of the cloud that was asked about."""

    id: Name
    secure: bool
    community: bool
    price: Prices
    max_count: MaxCount
    data_centers: Annotated[list[Stock], Meta(max_length=1000)] = []


class GpuTypes(Answer, frozen=True):
    """The catalog."""

    gpus: Annotated[list[GpuType], Meta(max_length=1000)]


class BillingRecord(Answer, frozen=True):
    """What one pod cost in one bucket of time, in USD."""

    pod_id: PodId
    total_amount: float


class Billing(Answer, frozen=True):
    """What was billed."""

    records: Annotated[list[BillingRecord], Meta(max_length=MAX_ITEMS)]
