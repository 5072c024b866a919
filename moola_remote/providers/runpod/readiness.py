"""Wait until SSH answers on a pod, with the host key in the container's log.

RUNNING is said long before. Until the time is over, whatever keeps us out is the old port, another
customer's machine behind it, a server that is not there yet, or an API that is silent for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from moola_remote.errors import HostKeyError, UnreachableError
from moola_remote.providers.base import Say
from moola_remote.providers.runpod import log_lines
from moola_remote.providers.runpod.answers import BusyError, UnansweredError
from moola_remote.providers.runpod.client import RunpodClient, Sleep
from moola_remote.providers.runpod.metering import is_stopped
from moola_remote.providers.runpod.models import GONE
from moola_remote.ssh.endpoint import Endpoint

if TYPE_CHECKING:
    from moola_remote.providers.runpod.models import Pod
# The list and the state may lag behind a create or a start.
SETTLE_S = 30.0
# How long an image may take to log its host key after its SSH server has an address.
HOST_KEY_LIMIT_S = 60.0


@dataclass
class Waiting:
    """One wait for one pod.

    Attributes:
        endpoint_of: where a pod is, with the host key that its log has by now.
        probe: connects, or raises what keeps it from connecting.
    """

    client: RunpodClient
    pod_id: str
    limit_s: float
    endpoint_of: Callable[[Pod], Endpoint | None]
    probe: Callable[[Endpoint], None]
    say: Say
    sleep: Sleep
    poll_s: float
    _started: float = field(default_factory=time.monotonic)
    _addressed: float | None = None

    def wait(self) -> Endpoint:
        """Return the pod, once it answers.

        Raises:
            UnreachableError: its start can't succeed, it is gone, or the time is over.
            HostKeyError: its log has no host key, and the user did not confirm the one it shows.
        """
        said = ""
        while True:
            try:
                found = self._look()
            except (UnansweredError, BusyError) as err:
                found = err.message
            if isinstance(found, Endpoint):
                return found
            if found != said:
                self.say(found)
                said = found
            if time.monotonic() - self._started > self.limit_s:
                raise UnreachableError(
                    f"pod {self.pod_id}: not ready within {self.limit_s / 60:g} min, {found}",
                    "try `up` again for another host, or raise start_limit_min",
                )
            self.sleep(self.poll_s)

    def _look(self) -> Endpoint | str:
        """Return the pod, or how far it is."""
        pod = self.client.pod(self.pod_id)
        if pod is None or is_stopped(pod) or pod.status == GONE:
            status = pod.status if pod else "gone"
            if time.monotonic() - self._started > SETTLE_S:
                raise UnreachableError(
                    f"pod {self.pod_id}: {status} while waiting for it",
                    "try `up` again for another host",
                )
            return f"{status}, as far as the list has it"
        endpoint = self.endpoint_of(pod)
        if endpoint is None:
            return f"{pod.status}, {self._step()}"
        self._addressed = self._addressed or time.monotonic()
        is_late = time.monotonic() - self._addressed > HOST_KEY_LIMIT_S
        if endpoint.host_key is None and not is_late:
            return f"{pod.status}, no host key in its log yet"
        return self._probed(endpoint)

    def _step(self) -> str:
        lines = self.client.log(self.pod_id, "system", tail=200)
        why = log_lines.failure(lines)
        if why:
            raise UnreachableError(f"pod {self.pod_id}: {why}", "try `up` again for another host")
        return log_lines.progress(lines)

    def _probed(self, endpoint: Endpoint) -> Endpoint | str:
        try:
            self.probe(endpoint)
        except UnreachableError as err:
            return f"waiting for SSH: {err.message}"
        except HostKeyError as err:
            if endpoint.host_key is None:
                raise HostKeyError(
                    f"pod {self.pod_id}: its container log has no host key, and the one that it "
                    "shows was not confirmed",
                    "call `up` at a terminal, and compare with the pod's log in the console",
                ) from err
            return f"waiting for SSH: {err.message}"
        return endpoint
