"""A pod of RunPod: found by its name, rented, started, watched until SSH answers, stopped, removed.

The API's list of pods is the only record of what exists, so that a second laptop, or a client that
was killed in the middle, sees the same pods. What is kept here is the key pair, and each pod's
host key as its log told it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from moola_remote.config.paths import Laptop
from moola_remote.errors import (
    ConfigError,
    HostKeyError,
    MoolaError,
    NoCapacityError,
    PodGoneError,
    UnreachableError,
)
from moola_remote.files import atomic
from moola_remote.providers.base import Confirm, PodStatus, Say, nobody, quiet
from moola_remote.providers.runpod import log_lines
from moola_remote.providers.runpod.account import ours
from moola_remote.providers.runpod.answers import RefusedError, UnansweredError
from moola_remote.providers.runpod.client import RunpodClient, Sleep
from moola_remote.providers.runpod.identity import make_key_pair
from moola_remote.providers.runpod.metering import deadline_of, describe, is_stopped, storage_cost
from moola_remote.providers.runpod.models import GONE
from moola_remote.providers.runpod.offers import find_offers
from moola_remote.providers.runpod.pod_name import PodName, owner_of_this_machine
from moola_remote.providers.runpod.readiness import Waiting
from moola_remote.providers.runpod.rent import CONFLICT, Renting, halt, remove
from moola_remote.providers.runpod.startup import probe_pod
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.hostkeys import Ask, KnownHosts

if TYPE_CHECKING:
    from moola_remote.config.settings import PodConfig, RunpodConfig
    from moola_remote.providers.runpod.models import Pod
POLL_S = 5.0
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
    laptop: Laptop
    api: str
    open_client: Callable[[], RunpodClient]
    probe: Callable[[Endpoint, Ask], None]
    poll_s: float = POLL_S
    sleep: Sleep = time.sleep
    _client: RunpodClient | None = field(default=None, init=False)

    @classmethod
    def of(cls, pod: PodConfig) -> RunpodProvider:
        """The provider of `pod`.

        Raises:
            ConfigError: no section ``runpod``, or a key that RunPod decides.
        """
        where = f"configs/pods/{pod.name}.yaml"
        if pod.runpod is None:
            raise ConfigError(
                f"{where}: runpod: missing, expected a section with gpus, image, cuda, max_price",
                "copy configs/pods/runpod-4090.yaml",
            )
        chosen = {"host", "port", "user", "host_key", "price_per_hour"} & pod.model_fields_set
        if chosen:
            raise ConfigError(
                f"{where}: {min(chosen)}: told by RunPod, expected no such key", "remove the line"
            )
        if not pod.root.startswith(f"{pod.runpod.volume_path.rstrip('/')}/"):
            raise ConfigError(
                f"{where}: root: {pod.root} is not on the volume {pod.runpod.volume_path}, and "
                "would be lost with every stop",
                f"write root: {pod.runpod.volume_path.rstrip('/')}/moola",
            )
        laptop = Laptop.of_user()
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
    def owner(self) -> str:
        """Whose pods are ours."""
        return self.wanted.owner or owner_of_this_machine()

    def find(self) -> Pod | None:
        """The newest pod of this file."""
        return next(iter(self.find_all()), None)

    def find_all(self) -> list[Pod]:
        """Every pod of this file, the newest first; more than one is a bill that nobody wants."""
        pods = ours(self.client.pods(), self.owner, self.pod.name)
        there = [pod for pod in pods if pod.status != GONE]
        return sorted(there, key=lambda pod: (pod.created_at is None, pod.created_at), reverse=True)

    def up(self, *, say: Say = quiet, confirm: Confirm = nobody) -> Endpoint:
        """Find, start or rent the pod, and wait until SSH answers with the host key of its log.

        Raises:
            NoCapacityError: nothing to rent, or the stopped pod's host has no free GPU.
            UnreachableError: it is not ready in time; what this call made or started was undone.
        """
        pod = self.find()
        if pod is None:
            return self._rent(say, confirm)
        if is_stopped(pod):
            say(f"starting {pod.name}, stopped on its host")
            try:
                with self._undone_if_it_fails(pod, halt, "stopped again", say, confirm):
                    self._start(pod)
                    return self._wait(pod, say, confirm)
            except NoCapacityError as err:
                return self._elsewhere(pod, err, say, confirm)
        return self._known(pod) or self._wait_for_one_that_stays(pod, say, confirm)

    def endpoint(self) -> Endpoint:
        """Where the pod is now: its port changes with each start.

        Raises:
            PodGoneError: there is none, or it is stopped.
            UnreachableError: it has no address yet.
        """
        pod, up = self.find(), f"moola-remote --pod {self.pod.name} up"
        if pod is None:
            told = f"pod {self.pod.name}: there is none at RunPod"
            raise PodGoneError(told, up, is_removed=True)
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
        KnownHosts(self.laptop.known_hosts).forget(self.pod.name)
        self._seen.unlink(missing_ok=True)

    def status(self) -> PodStatus:
        """How it stands, by the API alone."""
        pods = self.find_all()
        if not pods:
            return PodStatus("absent", f"rented by up, ${self.wanted.max_price:.2f}/h at most")
        pod, *others = pods
        more = f"; and {len(others)} more pods of this file, see cost" if others else ""
        started = pod.started_at.timestamp() if pod.started_at else None
        state: Literal["stopped", "up"] = "stopped" if is_stopped(pod) else "up"
        return PodStatus(state, describe(pod, self.client.now()) + more, None, started)

    # ---- making and starting ----

    def _rent(self, say: Say, confirm: Confirm) -> Endpoint:
        found = find_offers(self.client, self.wanted)
        deadline = self.client.now() + timedelta(hours=self.wanted.lifetime_h)
        name = PodName.new(self.owner, self.pod.name, deadline)
        public_key = self.public_key()
        renting = Renting(self.client, self.wanted, name, public_key, say, self.sleep)
        pod = renting.rent(found)
        with self._undone_if_it_fails(pod, remove, "removed", say, confirm):
            say(f"rented {pod.id}, ${pod.cost:.2f}/h from now on; {name}")
            first = self._first_of_two(pod)
            if first.id == pod.id:
                return self._wait(pod, say, confirm)
            remove(self.client, pod.id, self.sleep)
        say(f"another `up` rented {first.id} at the same time: that one stays, ours is removed")
        return self._wait_for_one_that_stays(first, say, confirm)

    def _first_of_two(self, pod: Pod) -> Pod:
        """The pod that all who called `up` at once agree on; ours is missing where a list lags."""
        running = [one for one in self.find_all() if not is_stopped(one)]
        return min(
            [pod, *running], key=lambda one: (one.created_at is None, one.created_at, one.id)
        )

    def _start(self, pod: Pod) -> None:
        try:
            self.client.act(pod.id, "start")
        except UnansweredError:
            pass  # how it stands decides, while we wait
        except RefusedError as err:
            if err.status != CONFLICT:
                raise

    def _elsewhere(self, pod: Pod, err: NoCapacityError, say: Say, confirm: Confirm) -> Endpoint:
        daily = storage_cost(pod) * 24
        say(f"{err.message}; its volume stays on that host, for ${daily:.2f} a day")
        question = "Rent another pod? What is on the stopped one is not on it."
        if not confirm(question):
            raise NoCapacityError(
                f"pod {self.pod.name}: {err.message}",
                "try again later, or remove it with `down --force` and rent another with `up`",
            ) from err
        return self._rent(say, confirm)

    @contextmanager
    def _undone_if_it_fails(
        self,
        pod: Pod,
        undo: Callable[[RunpodClient, str, Sleep], None],
        undone: str,
        say: Say,
        confirm: Confirm,
    ) -> Iterator[None]:
        """What was begun and never became ready costs nothing more; Ctrl-C asks first."""
        try:
            yield
        except KeyboardInterrupt:
            if confirm(f"Keep pod {pod.id}? It costs ${pod.cost:.2f}/h"):
                say(f"pod {pod.id} stays; go on with: moola-remote --pod {self.pod.name} up")
            else:
                say(f"ending pod {pod.id}, so that it costs nothing more")
                undo(self.client, pod.id, self.sleep)
                say(f"pod {pod.id} {undone}")
            raise
        except NoCapacityError:
            raise  # nothing was begun
        except MoolaError as err:
            try:
                undo(self.client, pod.id, self.sleep)
            except MoolaError as again:
                raise UnreachableError(
                    f"{err.message}; pod {pod.id} may still cost money: {again.message}",
                    f"end it with: moola-remote --pod {self.pod.name} down --force",
                ) from err
            err.message += f"; pod {pod.id} {undone}"
            raise

    def _wait(self, pod: Pod, say: Say, confirm: Confirm) -> Endpoint:
        def vouch(fingerprint: str) -> bool:
            return confirm(f"The log of {pod.id} tells no host key; it shows {fingerprint}. Right?")

        return Waiting(
            self.client,
            pod.id,
            60 * self.wanted.start_limit_min,
            partial(self._endpoint, is_fresh=True),
            lambda endpoint: self.probe(endpoint, vouch),
            say,
            self.sleep,
            self.poll_s,
        ).wait()

    def _wait_for_one_that_stays(self, pod: Pod, say: Say, confirm: Confirm) -> Endpoint:
        """Wait for a pod that this call did not begin, so that it is not ours to end."""
        try:
            return self._wait(pod, say, confirm)
        except MoolaError as err:
            err.message += f"; pod {pod.id} stays, for ${pod.cost:.2f}/h"
            end = f"moola-remote --pod {self.pod.name}"
            err.cure = f"end it with: {end} stop, or {end} down --force"
            raise

    def _known(self, pod: Pod) -> Endpoint | None:
        """Where a running pod is, if it answers there at once with the key that is known."""
        endpoint = self._endpoint(pod)
        if endpoint is None or endpoint.host_key is None:
            return None
        try:
            self.probe(endpoint, nobody)
        except (UnreachableError, HostKeyError):
            return None
        return endpoint

    # ---- where it is, and its keys ----

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
            host_key=self._host_key(pod, is_fresh=is_fresh),
            known_key=None,
            root=self.pod.root,
            python=self.pod.python,
            price_per_hour=pod.cost,
            guard=self._guard(pod),
        )

    def _guard(self, pod: Pod) -> dict[str, Any]:
        idle_min, deadline = self.wanted.idle_stop_min, deadline_of(pod)
        return {
            "api": self.api,
            "idle_stop_s": None if idle_min is None else 60 * idle_min,
            "stop_at": deadline.timestamp() if deadline else None,
        }

    @property
    def _seen(self) -> Path:
        return self.laptop.runpod / f"{self.pod.name}.json"

    def _host_key(self, pod: Pod, *, is_fresh: bool) -> str | None:
        """The fingerprint of this very start of the pod, by its log, which comes over TLS."""
        start = f"{pod.id} {pod.started_at}"
        try:
            seen = json.loads(self._seen.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            seen = {}
        if not isinstance(seen, dict):
            seen = {}
        is_known = seen.get("start") == start
        if is_known and not is_fresh:
            known = seen.get("host_key")
            return str(known) if known else None
        key = log_lines.host_key(self.client.log(pod.id, "container"))
        if not is_known:
            # The pin is that of an earlier start: its container, and its key, are gone.
            KnownHosts(self.laptop.known_hosts).forget(self.pod.name)
        self._seen.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        atomic.write(self._seen, json.dumps({"start": start, "host_key": key}) + "\n")
        return key

    @property
    def identity_file(self) -> Path:
        """The private key that opens the pod: the file's, or our own."""
        chosen = self.pod.identity_file
        return chosen.expanduser() if chosen else self.laptop.runpod / "id_ed25519"

    def public_key(self) -> str:
        """The line for the pod's authorized_keys; our own key pair is made at first use.

        Raises:
            ConfigError: the file's key has no public half beside it.
        """
        private = self.identity_file
        public = private.with_name(f"{private.name}.pub")
        if self.pod.identity_file is None and not private.exists():
            make_key_pair(private)
        try:
            return public.read_text(encoding="utf-8").strip()
        except OSError as err:
            raise ConfigError(
                f"{public}: can't be read, {err.strerror}; expected the public half of "
                "identity_file",
                f"ssh-keygen -y -f {private} > {public}",
            ) from err


def _open(api: str) -> RunpodClient:
    from moola_remote.providers.runpod.credentials import find_api_key

    return RunpodClient(find_api_key().reveal(), api)
