"""Make exactly one pod, and leave none behind: the API has no key against a create done twice.

After a create without an answer the list of pods is the only witness. Every create of one `rent`
has the same name, which is unique; whatever bears it at the end, and is not the pod that is
returned, is removed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moola_remote.errors import MoolaError, NoCapacityError, UnreachableError
from moola_remote.providers.base import Say, quiet
from moola_remote.providers.runpod.answers import RefusedError, UnansweredError
from moola_remote.providers.runpod.client import Sleep
from moola_remote.providers.runpod.models import GONE

if TYPE_CHECKING:
    from moola_remote.config.settings import RunpodConfig
    from moola_remote.providers.runpod.client import RunpodClient
    from moola_remote.providers.runpod.models import Pod
    from moola_remote.providers.runpod.offers import Offer, Offers
    from moola_remote.providers.runpod.pod_name import PodName
TRIES = 3
# A pod may be missing from the list for a moment after it was made.
LOOKS = 4
LOOK_EVERY_S = 2.0
CONFIRM_TRIES = 30
CONFIRM_EVERY_S = 2.0
FORBIDDEN, NOT_FOUND, CONFLICT = 403, 404, 409


def body_of(offer: Offer, wanted: RunpodConfig, name: str, public_key: str) -> dict[str, Any]:
    """Return the request for one offer, in the document's words."""
    return {
        "name": name,
        "image": wanted.image,
        "cloud": offer.cloud,
        "gpu": {"id": offer.gpu, "count": wanted.gpu_count, "minCudaVersion": wanted.cuda},
        "disk": wanted.disk_gb,
        "ports": ["22/tcp"],
        "mounts": {"persistent": {"size": wanted.volume_gb, "path": wanted.volume_path}},
        "env": {"PUBLIC_KEY": public_key},
        **({"globalNetworking": True} if wanted.global_networking else {}),
        **({"dataCenterIds": [offer.data_center]} if offer.data_center else {}),
    }


@dataclass
class Renting:
    """One search for a pod: the API, what is wanted, and the one name of all its requests."""

    client: RunpodClient
    wanted: RunpodConfig
    name: PodName
    public_key: str
    say: Say = quiet
    sleep: Sleep = time.sleep
    refusals: list[str] = field(default_factory=list)
    is_unsure: bool = False  # whether there may be a pod of our name

    def rent(self, found: Offers) -> Pod:
        """Try each offer, one request at a time, until there is a pod.

        Raises:
            NoCapacityError: none was to be had; each has its reason.
            MoolaError: the API refuses us, or is silent; no pod is left, or the error says so.
        """
        self.refusals = list(found.refusals)
        for line in [*found.prices, *(f"not tried: {line}" for line in found.refusals)]:
            self.say(line)
        try:
            pod = self._first(found)
            self._leave_one(pod)
        except BaseException:  # Ctrl-C too: a request may be on its way
            self._leave_none()
            raise
        return pod

    def _first(self, found: Offers) -> Pod:
        for offer in found.offers:
            self.say(f"asking for {offer}")
            pod = self._try(offer)
            if pod is not None and pod.cost <= self.wanted.max_price:
                return pod
            if pod is not None:
                self.refusals.append(f"${pod.cost:.2f}/h would be charged, above max_price")
                break
            self.say(f"refused: {self.refusals[-1].removeprefix(f'{offer}: ')}")
        raise NoCapacityError(
            f"RunPod: nothing to rent: {'; '.join(self.refusals) or 'no offer'}",
            "raise max_price, or name more gpus, clouds or data_centers in the pod's file",
        )

    def _try(self, offer: Offer) -> Pod | None:
        """Return a pod, or None and one more refusal."""
        for _ in range(TRIES):
            try:
                return self._create(offer)
            except UnansweredError as err:  # noqa: PERF203 - a request, not a number
                self.refusals.append(f"{offer}: {err.message}")
                made = self._look()
                if made:
                    return made[0]
        return None

    def _create(self, offer: Offer) -> Pod | None:
        body = body_of(offer, self.wanted, str(self.name), self.public_key)
        was_unsure, self.is_unsure = self.is_unsure, True
        try:
            return self.client.create(body)
        except UnansweredError:
            raise
        except MoolaError as err:
            self.is_unsure = was_unsure  # the API says that it made nothing
            is_forbidden = isinstance(err, RefusedError) and err.status == FORBIDDEN
            if not is_forbidden and not isinstance(err, NoCapacityError):
                raise
            self.refusals.append(f"{offer}: {err.message}")
            return None

    def _named(self) -> list[Pod]:
        return [pod for pod in self.client.pods() if pod.name == str(self.name)]

    def _look(self) -> list[Pod]:
        """Return the pods of our name, looked for more than once before there are none."""
        for look in range(LOOKS):
            if look:
                self.sleep(LOOK_EVERY_S)
            found = self._named()
            if found:
                return found
        return []

    def _leave_none(self) -> None:
        """Remove what bears our name.

        Raises:
            UnreachableError: that can't be known or done; it says what may be left.
        """
        if self.is_unsure:
            self.say(f"looking whether {self.name} was made, to remove it")
        try:
            for pod in self._look() if self.is_unsure else ():
                remove(self.client, pod.id, self.sleep)
        except MoolaError as err:
            raise UnreachableError(
                f"RunPod: pod {self.name} may have been made, and may cost money: {err.message}",
                f"end it with: moola-remote --pod {self.name.pod} down --force",
            ) from err

    def _leave_one(self, keep: Pod) -> None:
        """Remove what bears our name beside `keep`; what can't be seen now, `reap` sees later."""
        try:
            for pod in self._named() if self.is_unsure else ():
                if pod.id != keep.id:
                    remove(self.client, pod.id, self.sleep)
        except MoolaError as err:
            self.say(
                f"a second pod {self.name} may be there: see moola-remote pods ({err.message})"
            )


def remove(client: RunpodClient, pod_id: str, sleep: Sleep = time.sleep) -> None:
    """Remove a pod, and see that it is gone.

    Raises:
        UnreachableError: it is still there.
    """
    client.delete(pod_id)
    _confirm(client, pod_id, {GONE}, sleep)


def halt(client: RunpodClient, pod_id: str, sleep: Sleep = time.sleep) -> None:
    """Stop a pod, and see that it has stopped; its volume stays.

    Raises:
        UnreachableError: it still runs.
    """
    try:
        client.act(pod_id, "stop")
    except UnansweredError:
        pass  # the pod's state is read next
    except RefusedError as err:
        if err.status not in (CONFLICT, NOT_FOUND):  # those of one that has stopped, or is gone
            raise
    _confirm(client, pod_id, {"EXITED", GONE}, sleep)


def _confirm(client: RunpodClient, pod_id: str, states: set[str], sleep: Sleep) -> None:
    status = ""
    for look in range(CONFIRM_TRIES):
        if look:
            sleep(CONFIRM_EVERY_S)
        pod = client.pod(pod_id)
        if pod is None or pod.status in states:
            return
        status = pod.status
    raise UnreachableError(
        f"RunPod: pod {pod_id} is still {status}, and still costs money",
        "end it at https://console.runpod.io/pods",
    )
