"""What RunPod's API v2 answers: typed, bounded, lenient where document and traffic differ.

Prices are USD an hour, disks and memory GB. What may be missing or null in some state of a pod is
optional here; keys that we don't know are passed over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from moola_remote.protocol.types import Count, Name, Remote, Text

MAX_ITEMS = 10_000
GONE = "TERMINATED"
Price: TypeAlias = Annotated[float, Field(ge=0, le=1e6)]
PodId: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Answer(Remote):
    """The base of every answer: the API writes camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class SshAddress(Answer):
    """Where a pod's SSH server is reached."""

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
    port: Annotated[int, Field(ge=1, le=65535)]
    username: Name


class Ssh(Answer):
    """`direct` is null until ``22/tcp`` has a public port."""

    direct: SshAddress | None = None


class PodGpu(Answer):
    """The type that was given."""

    id: Name


class Use(Answer):
    """Per cent."""

    util: float | None = None


class Runtime(Answer):
    """Gauges of a running container; null or empty for a while after the start."""

    gpus: list[Use] = Field(default=[], max_length=64)


class Volume(Answer):
    """The disk of a pod that outlives a stop."""

    size: Count


class Mounts(Answer):
    """`persistent` is a disk on the pod's own host."""

    persistent: Volume | None = None


class GlobalNetworking(Answer):
    """The network between pods; `ip` is there once the pod has a machine."""

    enabled: bool = False
    ip: Annotated[str, Field(pattern=r"^[0-9A-Fa-f.:]{2,45}$")] | None = None


class Pod(Answer):
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


class Pagination(Answer):
    """Absent in some answers."""

    next_cursor: Annotated[str, Field(max_length=4096)] | None = None
    has_next_page: bool = False


class PodList(Answer):
    """One page of pods."""

    pods: list[Pod] = Field(max_length=MAX_ITEMS)
    pagination: Pagination = Pagination()


class Prices(Answer):
    """Of one GPU on each cloud."""

    secure: Price
    community: Price


class MaxCount(Answer):
    """GPUs that one pod may have."""

    secure: Count
    community: Count


class Stock(Answer):
    """One data centre's; ``NONE``, ``LOW``, ``MEDIUM`` or ``HIGH``: a hint, no reservation."""

    id: Name
    availability: Name


class GpuType(Answer):
    """One line of the catalog; the stock is that of the cloud that was asked about."""

    id: Name
    secure: bool
    community: bool
    price: Prices
    max_count: MaxCount
    data_centers: list[Stock] = Field(default=[], max_length=1000)


class GpuTypes(Answer):
    """The catalog."""

    gpus: list[GpuType] = Field(max_length=1000)


class BillingRecord(Answer):
    """What one pod cost in one bucket of time, in USD."""

    pod_id: PodId
    total_amount: float


class Billing(Answer):
    """What was billed."""

    records: list[BillingRecord] = Field(max_length=MAX_ITEMS)
