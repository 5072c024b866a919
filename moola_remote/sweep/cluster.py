"""A Ray cluster of a sweep's pods: which runs are its nodes, and which is its driver.

``cluster.json`` is written before the first of them is started, and removed once all have ended.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

from msgspec import Meta

from moola_remote.agent_client import verbs
from moola_remote.config.settings import Strict
from moola_remote.config.typed import WrongValueError, decoded, indented_json_of
from moola_remote.errors import ConfigError, MoolaError
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable
from moola_remote.pods.pod import Pod
from moola_remote.protocol.spec import new_run_id
from moola_remote.sweep.plan import SEED, Plan, SweepFolder
from moola_remote.sweep.study import spaces_json
from moola_remote.sweep.verdict import MAX_ATTEMPTS

TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105 - a name
# Below the ports that systems give out by themselves, a hundred a node.
FIRST_PORT, NUM_BLOCKS, NODE_PORTS = 20_000, 100, 100


class Member(Strict, frozen=True):
    """A run that is part of a cluster; `host` and `port` are empty of the driver."""

    role: Literal["head", "worker", "driver"]
    run_id: str
    pod: str
    host: str = ""
    port: int = 0


class Cluster(Strict, frozen=True):
    """``cluster.json``.

    Attributes:
        first: the number of the first trial that its driver does.
        address: of the head, HOST:PORT.
        members: the driver last; without others where the cluster is somebody else's.
    """

    first: Annotated[int, Meta(ge=0)]
    address: str
    members: Annotated[list[Member], Meta(min_length=1)]

    @property
    def driver(self) -> Member:
        """The run that has Tune do the trials."""
        return self.members[-1]

    @property
    def nodes(self) -> list[Member]:
        """The head, then the workers."""
        return self.members[:-1]

    @property
    def backwards(self) -> list[Member]:
        """In the order in which they are ended: the driver, workers, the head."""
        return self.members[::-1]


def new_cluster(plan: Plan, first: int, hosts: Sequence[tuple[str, str]]) -> Cluster:
    """Return a cluster with ids for its runs.

    Args:
        plan: of the sweep.
        first: number of the first trial.
        hosts: pods, and what others reach each by; the first becomes the head.
    """

    def member(role: Literal["head", "worker", "driver"], pod: str, *place: str | int) -> Member:
        host, port = place or ("", 0)
        run_id = new_run_id(f"{plan.label}-{role}")
        return Member(role=role, run_id=run_id, pod=pod, host=str(host), port=int(port))

    driver = member("driver", hosts[0][0])
    if plan.address is not None:
        return Cluster(first=first, address=plan.address, members=[driver])
    base = FIRST_PORT + zlib.crc32(plan.sweep_id.encode()) % NUM_BLOCKS * NODE_PORTS
    nodes = [
        member("worker" if index else "head", pod, host, base + index * NODE_PORTS)
        for index, (pod, host) in enumerate(hosts)
    ]
    return Cluster(first=first, address=f"{hosts[0][1]}:{base}", members=[*nodes, driver])


def asked_of(plan: Plan, cluster: Cluster) -> dict[str, Any]:
    """Return what the driver is asked beside the words of a trial, see jobs.common.ray_asked."""
    first = cluster.first
    return {
        "spaces": spaces_json(plan),
        "points": plan.table()[first:],
        "first": first,
        "trials": plan.trials - first,
        "goal": plan.score_key,
        "mode": plan.goal.direction[:3],
        "seed": plan.seed + first,
        "seed_key": SEED,
        "max_failures": MAX_ATTEMPTS - 1,
        "env": sorted({*plan.env, *plan.secrets} - {TOKEN}),
        "is_own": bool(cluster.nodes),
    }


def write_cluster(folder: SweepFolder, cluster: Cluster) -> None:
    """Write ``cluster.json``.

    Raises:
        LimitError: it can't be written.
    """
    try:
        atomic.write(folder.cluster, indented_json_of(cluster))
    except OSError as err:
        raise unwritable(folder.cluster, err) from err


def read_cluster(folder: SweepFolder) -> Cluster | None:
    """Return the cluster of a sweep; None where none is up.

    Raises:
        ConfigError: the file can't be read.
    """
    try:
        return decoded(Cluster, folder.cluster.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as err:
        raise ConfigError(f"{folder.cluster}: can't be read, {err.strerror}") from err
    except WrongValueError as fault:
        raise ConfigError(f"{folder.cluster}: {fault.key or 'the file'}: {fault.wrong}") from fault


def cancel_members(pod: Pod, cluster: Cluster) -> list[str]:
    """Cancel the runs of a cluster, the driver first; return a line about each.

    Args:
        pod: any pod of the project.
        cluster: whose runs.
    """
    lines = []
    for member in cluster.backwards:
        state = "not cancelled"
        with pod.other(member.pod) as other, suppress(MoolaError):
            state = verbs.cancel(other.agent, member.run_id).state.state
        lines.append(f"{member.role} on {member.pod}: {state}")
    return lines
