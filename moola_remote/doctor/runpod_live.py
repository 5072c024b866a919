"""Is RunPod as we think? Rents the cheapest pod, tries each assumption, and removes it.

PLATFORM facts that could not be tried here are written in docs/runpod.md; each has its row here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from msgspec import structs

from moola_remote.errors import MoolaError, UnreachableError
from moola_remote.providers.base import Say, quiet
from moola_remote.providers.runpod.answers import RefusedError
from moola_remote.providers.runpod.pod_name import PodName
from moola_remote.ssh.endpoint import Endpoint

if TYPE_CHECKING:
    from moola_remote.agent_client.client import Agent
    from moola_remote.providers.runpod.models import Pod
    from moola_remote.providers.runpod.provider import RunpodProvider
NUM_GPUS = 5  # types tried, the cheapest first
STOP_LIMIT_S = 180.0
LIFETIME_H = 1.0
MARK = "left-here-by-doctor"


@dataclass(frozen=True)
class Tried:
    """One assumption: whether it holds, and what was seen."""

    name: str
    holds: bool
    seen: str


@dataclass
class Live:
    """One go through all assumptions, with a pod of its own.

    Attributes:
        provider: of the pod's file; its image and clouds are used, its pod is not touched.
        connect: the agent on a pod.
        tick_s: how often the pod's guard looks.
    """

    provider: RunpodProvider
    connect: Callable[[Endpoint], Agent]
    say: Say = quiet
    tick_s: float = 1.0
    tried: list[Tried] = field(default_factory=list)

    def run(self) -> list[Tried]:
        """Everything, in order; what needs a pod that could not be had is left out."""
        self.provider = self._cheapest()
        self._try("the key may make and end pods", self._key)
        self._try("an unknown field is refused with 422", self._unknown_field)
        try:
            endpoint = self._up("a pod is rented, and SSH answers with the key of its log")
            if endpoint is not None:
                self._on_the_pod(endpoint)
        except MoolaError as err:
            self.tried.append(Tried("the check went to its end", False, str(err)))
        finally:
            self._try("a removed pod is gone", self._remove)
        return self.tried

    def _cheapest(self) -> RunpodProvider:
        wanted = self.provider.wanted
        clouds = wanted.clouds
        prices = [
            (price, gpu.id)
            for gpu in self.provider.client.gpu_types()
            for price, is_there in (
                (gpu.price.secure, gpu.secure and "SECURE" in clouds),
                (gpu.price.community, gpu.community and "COMMUNITY" in clouds),
            )
            if is_there and 0 < price <= wanted.max_price
        ]
        gpus = list(dict.fromkeys(gpu for _, gpu in sorted(prices)))[:NUM_GPUS]
        change = {"gpus": gpus or wanted.gpus, "lifetime_h": LIFETIME_H, "gpu_count": 1}
        pod = self.provider.pod
        return replace(
            self.provider,
            pod=structs.replace(pod, name=f"{pod.name}-live"),
            wanted=structs.replace(wanted, **change, volume_gb=10),
        )

    def _try(self, name: str, look: Callable[[], str]) -> None:
        """Note what `look` saw, or why it failed."""
        started = time.monotonic()
        try:
            tried = Tried(name, True, look())
        except MoolaError as err:
            tried = Tried(name, False, str(err))
        self.tried.append(tried)
        self.say(f"{name}: {tried.seen} ({time.monotonic() - started:.0f} s)")

    def _up(self, name: str) -> Endpoint | None:
        found: list[Endpoint] = []

        def look() -> str:
            started = time.monotonic()
            endpoint = self.provider.up(say=self.say)
            found.append(endpoint)
            if endpoint.host_key is None:
                raise UnreachableError("its container log shows no ED25519 fingerprint")
            seconds = time.monotonic() - started
            return f"{seconds:.0f} s, {endpoint.host}:{endpoint.port}, {endpoint.host_key[:17]}..."

        self._try(name, look)
        return found[0] if found else None

    def _on_the_pod(self, endpoint: Endpoint) -> None:
        before = self._pod()
        agent = self.connect(endpoint)
        try:
            self._try("the pod has rsync, venv and Python", lambda: _tools(agent))
            self._try("the volume is where root lies", lambda: _mark(agent))
            self._try("the pod's own key opens its own pod", lambda: self._guard(agent, None))
            self._try("the pod stops itself, with that key", lambda: self._stop(agent))
        finally:
            agent.transport.close()
        if self._pod().status != "EXITED":
            self._try("a stop from here is obeyed", self._stop_from_here)
        again = self._up("a stopped pod starts again")
        if again is not None:
            self._compare(before, endpoint, again)

    def _compare(self, before: Pod, first: Endpoint, again: Endpoint) -> None:
        after = self._pod()
        changed = {
            "its host key changes": (first.host_key, again.host_key),
            "its port changes": (str(first.port), str(again.port)),
            "startedAt changes": (str(before.started_at), str(after.started_at)),
        }
        for name, (old, new) in changed.items():
            self.tried.append(Tried(f"after a start {name}", old != new, f"{old} then {new}"))
        agent = self.connect(again)
        try:
            self._try("the volume is kept over a stop", lambda: _marked(agent))
        finally:
            agent.transport.close()

    def _key(self) -> str:
        if not self.provider.client.may_write():
            raise UnreachableError("it has read-only access")
        return "an action on a pod that is not there is answered with 404, not 403"

    def _unknown_field(self) -> str:
        provider = self.provider
        name = PodName.new(provider.owner, provider.pod.name, provider.client.now())
        body = {"name": str(name), "image": "x", "gpu": {"id": "x"}, "moolaUnknown": 1}
        try:
            provider.client.create(body)
        except RefusedError as err:
            if err.status == 422:
                return err.message
            raise
        finally:
            provider.down(remove_data=True)  # it may have been made, whatever was answered
        raise UnreachableError("it was taken, and the pod removed again")

    def _guard(self, agent: Agent, idle_stop_s: float | None) -> str:
        settings = {"api": self.provider.api, "idle_stop_s": idle_stop_s, "tick_s": self.tick_s}
        answer = agent.call("guard", stdin=settings)
        if not answer.get("proved"):
            raise UnreachableError(str(answer.get("why")))
        return f"by {' and '.join(map(str, answer['proved']))}"

    def _stop(self, agent: Agent) -> str:
        self._guard(agent, self.tick_s)
        give_up = time.monotonic() + STOP_LIMIT_S
        while time.monotonic() < give_up:
            pod = self._pod()
            if pod.status == "EXITED":
                return f"EXITED, ${pod.cost:.2f}/h"
            self.provider.sleep(self.tick_s)
        raise UnreachableError(f"still {self._pod().status} after {STOP_LIMIT_S:.0f} s")

    def _stop_from_here(self) -> str:
        self.provider.stop()
        return self._pod().status

    def _pod(self) -> Pod:
        pod = self.provider.find()
        if pod is None:
            raise UnreachableError("the pod is not in the list any more")
        return pod

    def _remove(self) -> str:
        try:
            self.provider.down(remove_data=True)
            left = self.provider.find_all()
        except MoolaError as err:
            raise _left_over(err.message) from err
        if left:
            raise _left_over(f"{left[0].id} is still in the list")
        return "no pod of this check is left"


def _left_over(why: str) -> UnreachableError:
    return UnreachableError(
        f"a pod may be left, and cost money: {why}", "end it at https://console.runpod.io/pods"
    )


def _tools(agent: Agent) -> str:
    from moola_remote.agent_client.client import probe
    from moola_remote.pods.preflight import check_pod

    facts = probe(agent)
    check_pod("live", facts)
    gpus = ", ".join(gpu.name for gpu in facts.gpus) or "no GPU"
    return f"Python {facts.python}, rsync {facts.rsync}, {gpus}, CUDA {facts.cuda_driver}"


def _mark(agent: Agent) -> str:
    done = agent.transport.run(
        [
            *("sh", "-c", 'mkdir -p "$1" && touch "$1/$2" && df -Pk "$1" | tail -n 1', "sh"),
            *(agent.root, MARK),
        ]
    )
    if done.returncode != 0:
        raise UnreachableError(f"{agent.root} can't be written")
    return " ".join(done.stdout.decode("utf-8", "replace").split()[-2:])


def _marked(agent: Agent) -> str:
    done = agent.transport.run(["test", "-e", f"{agent.root}/{MARK}"])
    if done.returncode != 0:
        raise UnreachableError("the file that was left there is gone")
    return "the file that was left there is there"
