"""A pod of RunPod: found by its name, rented, started, watched until SSH answers, stopped, removed.

The API's list of pods is the only record of what exists, so that a second laptop, or a client that
was killed in the middle, sees the same pods. What is kept here is the key pair, and each pod's
host key as its log showed it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from moola_remote.config.paths import LaptopPaths
from moola_remote.errors import ConfigError, PodGoneError, UnreachableError
from moola_remote.providers.base import Confirm, PodStatus, Say, decline, quiet
from moola_remote.providers.runpod.account import ours
from moola_remote.providers.runpod.client import RunpodClient, Sleep
from moola_remote.providers.runpod.identity import Identity
from moola_remote.providers.runpod.metering import deadline_of, describe, is_stopped
from moola_remote.providers.runpod.models import GONE
from moola_remote.providers.runpod.pod_name import owner_of_this_machine
from moola_remote.providers.runpod.rent import halt, remove
from moola_remote.providers.runpod.startup import POLL_S, Startup, probe_pod
from moola_remote.providers.runpod.template import ADD
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.hostkeys import Ask

if TYPE_CHECKING:
    from moola_remote.config.settings import PodConfig, RunpodConfig
    from moola_remote.providers.runpod.models import Pod
ADDRESS = "MOOLA_RUNPOD_API"


@dataclass
class RunpodProvider:
    """The pod of a file with ``provider: runpod``.

    Attributes:
        api: where the API is.
        open_client: a client of the API; its key is looked for when it is needed.
        probe: connects, or raises what keeps it from connecting; it may ask about a host key.
    """

    is_paid: ClassVar[bool] = True
    pod: PodConfig
    wanted: RunpodConfig
    laptop: LaptopPaths
    api: str
    open_client: Callable[[], RunpodClient]
    probe: Callable[[Endpoint, Ask], None]
    poll_s: float = POLL_S
    sleep: Sleep = time.sleep
    _client: RunpodClient | None = field(default=None, init=False)

    @classmethod
    def of(cls, pod: PodConfig) -> RunpodProvider:
        """Return the provider of `pod`.

        Raises:
            ConfigError: no section ``runpod``, or a key that RunPod decides.
        """
        where = f"configs/pods/{pod.name}.yaml"
        if pod.runpod is None:
            raise ConfigError(
                f"{where}: runpod: missing, expected a section with gpus, image, cuda, max_price",
                f"{ADD} writes one",
            )
        chosen = {
            "host",
            "port",
            "user",
            "host_key",
            "price_per_hour",
            "private_host",
        } & pod.given
        if chosen:
            raise ConfigError(
                f"{where}: {min(chosen)}: comes from RunPod, expected no such key",
                "remove the line",
            )
        if not pod.root.startswith(f"{pod.runpod.volume_path.rstrip('/')}/"):
            raise ConfigError(
                f"{where}: root: {pod.root} is not on the volume {pod.runpod.volume_path}, and "
                "would be lost with every stop",
                f"write root: {pod.runpod.volume_path.rstrip('/')}/moola",
            )
        laptop = LaptopPaths.of_user()
        api = os.environ.get(ADDRESS) or pod.runpod.api
        return cls(
            pod,
            pod.runpod,
            laptop,
            api,
            lambda: _open(api),
            lambda endpoint, ask: probe_pod(endpoint, ask, laptop),
        )

    @property
    def client(self) -> RunpodClient:
        """The API."""
        if self._client is None:
            self._client = self.open_client()
        return self._client

    @property
    def identity(self) -> Identity:
        """The keys of the pod."""
        return Identity(self.pod, self.laptop)

    @property
    def owner(self) -> str:
        """Whose pods are ours."""
        return self.wanted.owner or owner_of_this_machine()

    def find(self) -> Pod | None:
        """Return the newest pod of this file."""
        return next(iter(self.find_all()), None)

    def find_all(self) -> list[Pod]:
        """Return every pod of this file, the newest first; more than one is an unwanted bill."""
        pods = ours(self.client.pods(), self.owner, self.pod.name)
        there = [pod for pod in pods if pod.status != GONE]
        return sorted(there, key=lambda pod: (pod.created_at is None, pod.created_at), reverse=True)

    def up(self, *, say: Say = quiet, confirm: Confirm = decline) -> Endpoint:
        """Find, start or rent the pod, and wait until SSH answers with the host key of its log.

        Raises:
            NoCapacityError: nothing to rent, or the stopped pod's host has no free GPU.
            UnreachableError: it is not ready in time; what this call made or started was undone.
        """
        return Startup(
            self.pod,
            self.wanted,
            self.owner,
            self.client,
            self.find_all,
            self._endpoint,
            self.probe,
            self.public_key,
            say,
            confirm,
            self.sleep,
            self.poll_s,
        ).up()

    def endpoint(self) -> Endpoint:
        """Return where the pod is now: its port changes with each start.

        Raises:
            PodGoneError: there is none, or it is stopped.
            UnreachableError: it has no address yet.
        """
        pod, up = self.find(), f"moola-remote --pod {self.pod.name} up"
        if pod is None:
            missing = f"pod {self.pod.name}: does not exist at RunPod"
            raise PodGoneError(missing, up, is_removed=True)
        if is_stopped(pod):
            raise PodGoneError(f"pod {self.pod.name}: stopped ({pod.status})", up, is_removed=False)
        found = self._endpoint(pod)
        if found is None:
            raise UnreachableError(f"pod {self.pod.name}: {pod.status}, no SSH address yet", up)
        return found

    def stop(self) -> None:
        """Stop every pod of this file, and see that they have; a volume then costs more."""
        for pod in self.find_all():
            if not is_stopped(pod):
                halt(self.client, pod.id, self.sleep)

    def down(self, *, remove_data: bool) -> None:  # noqa: ARG002 - a volume goes with its pod
        """Remove every pod of this file, and see that they are gone, volumes and all."""
        for pod in self.find_all():
            remove(self.client, pod.id, self.sleep)
        self.identity.forget()

    def status(self) -> PodStatus:
        """Return how it stands, by the API alone."""
        pods = self.find_all()
        if not pods:
            return PodStatus("absent", f"rented by up, ${self.wanted.max_price:.2f}/h at most")
        pod, *others = pods
        more = f"; and {len(others)} more pods of this file, see cost" if others else ""
        started = pod.started_at.timestamp() if pod.started_at else None
        state: Literal["stopped", "up"] = "stopped" if is_stopped(pod) else "up"
        return PodStatus(state, describe(pod, self.client.now()) + more, None, started)

    def _endpoint(self, pod: Pod, *, is_fresh: bool = False) -> Endpoint | None:
        direct = pod.ssh.direct
        if direct is None:
            return None
        return Endpoint(
            name=self.pod.name,
            host=direct.host,
            port=direct.port,
            user=direct.username,
            identity_file=self.identity_file,
            host_key=self.identity.host_key(pod, self.client, is_fresh=is_fresh),
            known_key=None,
            root=self.pod.root,
            python=self.pod.python,
            price_per_hour=pod.cost,
            guard=self._guard(pod),
            private_host=pod.global_networking.ip,
        )

    def _guard(self, pod: Pod) -> dict[str, Any]:
        idle_min, deadline = self.wanted.idle_stop_min, deadline_of(pod)
        return {
            "api": self.api,
            "idle_stop_s": None if idle_min is None else 60 * idle_min,
            "stop_at": deadline.timestamp() if deadline else None,
        }

    @property
    def identity_file(self) -> Path:
        """The private key that opens the pod: the file's, or our own."""
        return self.identity.file

    def public_key(self) -> str:
        """Return the line for the pod's authorized_keys; our own key pair is made at first use.

        Raises:
            ConfigError: the file's key has no public half beside it.
        """
        return self.identity.public_key()


def _open(api: str) -> RunpodClient:
    from moola_remote.providers.runpod.credentials import find_api_key

    return RunpodClient(find_api_key().reveal(), api)
