"""Bring a rented pod up: rent or start it, wait until SSH answers, undo what never became ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from moola_remote.config.paths import LaptopPaths
from moola_remote.errors import HostKeyError, MoolaError, NoCapacityError, UnreachableError
from moola_remote.providers.base import Confirm, Say, decline
from moola_remote.providers.runpod.answers import RefusedError, UnansweredError
from moola_remote.providers.runpod.client import RunpodClient, Sleep
from moola_remote.providers.runpod.metering import is_stopped, storage_cost
from moola_remote.providers.runpod.offers import find_offers
from moola_remote.providers.runpod.pod_name import PodName
from moola_remote.providers.runpod.readiness import Waiting
from moola_remote.providers.runpod.rent import CONFLICT, Renting, halt, remove
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.hostkeys import Ask

if TYPE_CHECKING:
    from moola_remote.config.settings import PodConfig, RunpodConfig
    from moola_remote.providers.runpod.models import Pod
POLL_S = 5.0


class EndpointOf(Protocol):
    """Where a pod is; None while it has no address."""

    def __call__(self, pod: Pod, *, is_fresh: bool) -> Endpoint | None:
        """Return the endpoint; `is_fresh` reads the host key from the log once more."""


@dataclass(frozen=True)
class Startup:
    """One `up` of one pod.

    Attributes:
        pod: the settings of the pod.
        wanted: what is rented.
        owner: whose pods are ours.
        client: the API.
        find_all: every pod of the file, the newest first.
        endpoint_of: where a pod is, with its host key.
        probe: connects, or raises what keeps it from connecting; it may ask about a host key.
        public_key: the line for the pod's authorized_keys.
        say: given each line of progress.
        confirm: asks the user a question.
        sleep: waits between two looks.
        poll_s: how long.
    """

    pod: PodConfig
    wanted: RunpodConfig
    owner: str
    client: RunpodClient
    find_all: Callable[[], list[Pod]]
    endpoint_of: EndpointOf
    probe: Callable[[Endpoint, Ask], None]
    public_key: Callable[[], str]
    say: Say
    confirm: Confirm
    sleep: Sleep = time.sleep
    poll_s: float = POLL_S

    def up(self) -> Endpoint:
        """Find, start or rent the pod, and wait until SSH answers with the host key of its log.

        Raises:
            NoCapacityError: nothing to rent, or the stopped pod's host has no free GPU.
            UnreachableError: it is not ready in time; what this call made or started was undone.
        """
        pod = next(iter(self.find_all()), None)
        if pod is None:
            return self._rent()
        if is_stopped(pod):
            self.say(f"starting {pod.name}, stopped on its host")
            try:
                with self._undone_if_it_fails(pod, halt, "stopped again"):
                    self._start(pod)
                    return self._wait(pod)
            except NoCapacityError as err:
                return self._elsewhere(pod, err)
        return self._known(pod) or self._wait_for_one_that_stays(pod)

    def _rent(self) -> Endpoint:
        found = find_offers(self.client, self.wanted)
        deadline = self.client.now() + timedelta(hours=self.wanted.lifetime_h)
        name = PodName.new(self.owner, self.pod.name, deadline)
        public_key = self.public_key()
        renting = Renting(self.client, self.wanted, name, public_key, self.say, self.sleep)
        pod = renting.rent(found)
        with self._undone_if_it_fails(pod, remove, "removed"):
            self.say(f"rented {pod.id}, ${pod.cost:.2f}/h from now on; {name}")
            first = self._first_of_two(pod)
            if first.id == pod.id:
                return self._wait(pod)
            remove(self.client, pod.id, self.sleep)
        self.say(
            f"another `up` rented {first.id} at the same time: that one stays, ours is removed"
        )
        return self._wait_for_one_that_stays(first)

    def _first_of_two(self, pod: Pod) -> Pod:
        """Return the pod that concurrent calls of `up` agree on; ours is missing if a list lags."""
        running = [one for one in self.find_all() if not is_stopped(one)]
        return min(
            [pod, *running], key=lambda one: (one.created_at is None, one.created_at, one.id)
        )

    def _start(self, pod: Pod) -> None:
        try:
            self.client.act(pod.id, "start")
        except UnansweredError:
            pass  # the wait that follows reads the pod's state
        except RefusedError as err:
            if err.status != CONFLICT:
                raise

    def _elsewhere(self, pod: Pod, err: NoCapacityError) -> Endpoint:
        daily = storage_cost(pod) * 24
        self.say(f"{err.message}; its volume stays on that host, for ${daily:.2f} a day")
        question = "Rent another pod? What is on the stopped one is not on it."
        if not self.confirm(question):
            raise NoCapacityError(
                f"pod {self.pod.name}: {err.message}",
                "try again later, or remove it with `down --force` and rent another with `up`",
            ) from err
        return self._rent()

    @contextmanager
    def _undone_if_it_fails(
        self,
        pod: Pod,
        undo: Callable[[RunpodClient, str, Sleep], None],
        undone: str,
    ) -> Iterator[None]:
        """End what was started and never became ready: it costs nothing more; Ctrl-C asks."""
        try:
            yield
        except KeyboardInterrupt:
            if self.confirm(f"Keep pod {pod.id}? It costs ${pod.cost:.2f}/h"):
                self.say(
                    f"pod {pod.id} stays; continue with: moola-remote --pod {self.pod.name} up"
                )
            else:
                self.say(f"ending pod {pod.id}, so that it costs nothing more")
                undo(self.client, pod.id, self.sleep)
                self.say(f"pod {pod.id} {undone}")
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

    def _wait(self, pod: Pod) -> Endpoint:
        def vouch(fingerprint: str) -> bool:
            return self.confirm(
                f"The log of {pod.id} has no host key; the pod shows {fingerprint}. Is it right?"
            )

        return Waiting(
            self.client,
            pod.id,
            60 * self.wanted.start_limit_min,
            partial(self.endpoint_of, is_fresh=True),
            lambda endpoint: self.probe(endpoint, vouch),
            self.say,
            self.sleep,
            self.poll_s,
        ).wait()

    def _wait_for_one_that_stays(self, pod: Pod) -> Endpoint:
        """Wait for a pod that this call did not begin, so that it is not ours to end."""
        try:
            return self._wait(pod)
        except MoolaError as err:
            err.message += f"; pod {pod.id} stays, for ${pod.cost:.2f}/h"
            end = f"moola-remote --pod {self.pod.name}"
            err.cure = f"end it with: {end} stop, or {end} down --force"
            raise

    def _known(self, pod: Pod) -> Endpoint | None:
        """Return where a running pod is, if it answers there at once with the key that is known."""
        endpoint = self.endpoint_of(pod, is_fresh=False)
        if endpoint is None or endpoint.host_key is None:
            return None
        try:
            self.probe(endpoint, decline)
        except (UnreachableError, HostKeyError):
            return None
        return endpoint


def probe_pod(endpoint: Endpoint, ask: Ask, laptop: LaptopPaths) -> None:
    """Connect, run `true`, and close.

    Raises:
        UnreachableError: nothing answers.
        HostKeyError: it is not the machine that it should be.
    """
    from moola_remote.ssh.connect import connect

    transport = connect(endpoint, known_hosts=laptop.known_hosts, ask=ask)
    try:
        transport.run(["true"])
    finally:
        transport.close()
