"""A thin client of RunPod's REST API v2: one method a call, each failure one line.

What may be repeated is repeated: reading and deleting after any failure, everything else only where
the API says that it did nothing (429) or was not reached. After any other failure of a call that
changes something, only the API's own list shows whether it was done: `UnansweredError`.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from moola_remote import __version__
from moola_remote.providers.runpod.answers import (
    ApiAnswer,
    BusyError,
    RefusedError,
    UnansweredError,
    failure,
    log_line,
    parse,
    parse_moment,
    whole_answer,
)
from moola_remote.providers.runpod.models import Billing, GpuType, GpuTypes, Pod, PodList
from moola_remote.text.sanitize import safe

logger = logging.getLogger(__name__)
API = "https://api.runpod.io"
# Cloudflare in front of the API refuses those of HTTP libraries.
USER_AGENT = f"moola-remote/{__version__}"
TIMEOUT_S = 30.0
ATTEMPTS = 6
MAX_WAIT_S = 60.0
SILENCE_S = 1.5
LOG_LIMIT_S = 10.0
MAX_LINE_BYTES = 2**20
# A header has whole seconds, and comes late.
CLOCK_SLACK = timedelta(seconds=10)
Cloud: TypeAlias = Literal["SECURE", "COMMUNITY"]
Action: TypeAlias = Literal["start", "stop"]
Source: TypeAlias = Literal["container", "system"]
Sleep: TypeAlias = Callable[[float], None]


class RunpodClient:
    """The calls that we need; use it as a context manager.

    Args:
        key: the API key; it travels in a header, and is in no message.
        base_url: of the API, without ``/v2``.
        sleep: waits between two attempts.
        silence_s: after which a log counts as read to its end.
        transport: instead of the network.
    """

    def __init__(
        self,
        key: str,
        base_url: str = API,
        *,
        sleep: Sleep = time.sleep,
        silence_s: float = SILENCE_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {key}", "User-Agent": USER_AGENT},
            timeout=TIMEOUT_S,
            transport=transport,
        )
        self._sleep = sleep
        self._silence_s = silence_s
        self._ahead = timedelta()

    def __enter__(self) -> RunpodClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def now(self) -> datetime:
        """Return the time by the API's clock, from its last answer: a laptop's may be wrong."""
        return datetime.now(timezone.utc) + self._ahead

    def pods(self) -> list[Pod]:
        """Every pod of the account; filters are ours: the API ignores what it doesn't know."""
        found: list[Pod] = []
        cursor: str | None = None
        while True:
            page = self._read(PodList, "/v2/pods", {"cursor": cursor} if cursor else {})
            found += page.pods
            if not page.pagination.has_next_page or page.pagination.next_cursor in (None, cursor):
                return found
            cursor = page.pagination.next_cursor

    def pod(self, pod_id: str) -> Pod | None:
        """One pod; None where there is none (any more)."""
        try:
            return self._read(Pod, f"/v2/pods/{pod_id}")
        except RefusedError as err:
            if err.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def create(self, body: Mapping[str, Any]) -> Pod:
        """Make a pod; it is never asked for twice.

        Raises:
            NoCapacityError: nothing to rent under these conditions; perhaps under others.
            UnansweredError: look by its name whether it was made.
        """
        return parse(Pod, self._call("POST", "/v2/pods", body))

    def act(self, pod_id: str, action: Action) -> None:
        """Start or stop a pod; how it stands then is to be read.

        Raises:
            NoCapacityError: its host has no free GPU.
            RefusedError: the pod is in no state for it (409), or is gone (404).
            UnansweredError: read how it stands.
        """
        self._call("POST", f"/v2/pods/{pod_id}/action", {"action": action})

    def delete(self, pod_id: str) -> None:
        """Remove a pod and its disk; one that is gone already is no error."""
        try:
            self._call("DELETE", f"/v2/pods/{pod_id}")
        except RefusedError as err:
            if err.status != httpx.codes.NOT_FOUND:
                raise

    def gpu_types(self) -> list[GpuType]:
        """Return the catalog, without stock."""
        return self._read(GpuTypes, "/v2/catalog/gpus").gpus

    def gpu_type(self, gpu: str, cloud: Cloud, *, count: int, min_cuda: str) -> GpuType:
        """Prices and stock of one type on one cloud; the stock is a hint, no reservation."""
        asked = {
            "include": "AVAILABILITY",
            "product": "POD",
            "cloud": cloud,
            "count": str(count),
            "minCudaVersion": min_cuda,
        }
        return self._read(GpuType, f"/v2/catalog/gpus/{quote(gpu, safe='')}", asked)

    def billing(self, *, days: int) -> Billing:
        """Return what was billed, a record a pod and day."""
        return self._read(Billing, "/v2/billing/pods", {"bucketSize": "day", "lastN": str(days)})

    def log(self, pod_id: str, source: Source, *, tail: int = 1000) -> list[str]:
        """Return the last lines of a log as it is now, oldest first.

        The stream never ends, marks no end of what is old, and sends not even a header before its
        first line: silence is the only end, and a sign of life is silence too. The newest lines
        may be missing, until it is read again.
        """
        started = time.monotonic()
        lines: deque[str] = deque(maxlen=tail)
        asked = {"source": source, "tail": str(tail)}
        timeout = httpx.Timeout(TIMEOUT_S, read=self._silence_s)
        try:
            with self._http.stream(
                "GET", f"/v2/pods/{pod_id}/logs", params=asked, timeout=timeout
            ) as response:
                if not response.is_success:
                    raise failure(whole_answer(response), f"logs of {pod_id}")
                _collect(response, lines, started, self._silence_s)
        except httpx.ReadTimeout:
            pass
        except httpx.TransportError as err:
            logger.info("log of %s: %s", pod_id, err)
        return list(lines)

    def may_write(self) -> bool:
        """Whether the key may change pods: asked with an action on a pod that does not exist."""
        try:
            self._call("POST", "/v2/pods/moola-doctor/action", {"action": "stop"})
        except RefusedError as err:
            return err.status != httpx.codes.FORBIDDEN
        return True

    def _read(
        self, model: type[ApiAnswer], path: str, params: Mapping[str, str] | None = None
    ) -> ApiAnswer:
        return parse(model, self._call("GET", path, params=params))

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One call, repeated where it may be.

        Raises:
            MoolaError: by the decision table of the API.
        """

        def is_to_repeat(error: BaseException) -> bool:
            if isinstance(error, UnansweredError):
                return method != "POST" or not error.was_sent
            return isinstance(error, BusyError)

        attempts = Retrying(
            retry=retry_if_exception(is_to_repeat),
            wait=_wait_s,
            stop=stop_after_attempt(ATTEMPTS),
            sleep=self._sleep,
            reraise=True,
        )
        return attempts(self._once, method, path, body, params)

    def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        params: Mapping[str, str] | None,
    ) -> httpx.Response:
        what = f"{method} {path}"
        started = time.monotonic()
        try:
            with self._http.stream(method, path, json=body, params=params) as stream:
                response = whole_answer(stream)
        except httpx.TransportError as err:
            was_sent = not isinstance(err, httpx.ConnectError | httpx.ConnectTimeout)
            said = safe(str(err)) or type(err).__name__
            raise UnansweredError(f"RunPod: {what}: {said}", was_sent=was_sent) from err
        answered_at = parse_moment(response.headers.get("date", ""))
        if answered_at is not None:
            ahead = answered_at - datetime.now(timezone.utc)
            self._ahead = ahead if abs(ahead) > CLOCK_SLACK else timedelta()
        took_ms = 1000 * (time.monotonic() - started)
        request_id = safe(response.headers.get("x-request-id", "-"), 80)
        logger.info("%s: %d in %.0f ms, %s", what, response.status_code, took_ms, request_id)
        if not response.is_success:
            raise failure(response, what)
        return response


def _collect(response: httpx.Response, lines: deque[str], started: float, silence_s: float) -> None:
    """Add the lines of a log to `lines` until it is silent, too long or too late."""
    heard_at, pending = started, b""
    for part in response.iter_bytes():
        *whole, pending = (pending + part).split(b"\n")
        found, now = [text for line in whole for text in log_line(line)], time.monotonic()
        lines += found
        heard_at = now if found else heard_at
        is_over = now > min(started + LOG_LIMIT_S, heard_at + silence_s)
        if is_over or len(pending) > MAX_LINE_BYTES:
            return


_backoff_s = wait_random_exponential(multiplier=0.5, max=15.0)


def _wait_s(attempt: RetryCallState) -> float:
    error = attempt.outcome.exception() if attempt.outcome else None
    asked = error.retry_after_s if isinstance(error, BusyError) else None
    return _backoff_s(attempt) if asked is None else min(asked, MAX_WAIT_S)
