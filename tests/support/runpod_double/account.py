"""The account: its pods, what it answers, and what shall go wrong with it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from tests.support.runpod_double import catalog
from tests.support.runpod_double.answers import Fault, answer, failure, problem, timestamp
from tests.support.runpod_double.catalog import GPU, Refusal
from tests.support.runpod_double.document import (
    DOCUMENTS,
    NoTokenError,
    check_answer,
    faults_of,
    openapi,
)
from tests.support.runpod_double.pods import (
    IMAGE,
    FakePod,
    Machine,
    NoMachine,
    Times,
    actions,
    described,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

KEY = "rpa_TESTKEY0123456789"


class Double:
    """The account, its pods, and what shall go wrong.

    Attributes:
        pods: those that exist and would be billed.
        calls: ``METHOD path`` of every request.
        wrong: what broke the OpenAPI document.
        document: that document; None takes everything.
        fault: asked before each request.
        refuse: a refusal of a create or of a start, by its body.
        lag: a new pod is missing from so many answers to a list.
        unread_for: so many reads of a single pod are answered with 404.
        more_system_log: what a start says beside the ordinary.
        gauge: GPU use in per cent.
        billed_before: USD a pod that is no more.
        ahead_s: how far its clock is before ours.
    """

    def __init__(self, *, times: Times | None = None, is_checked: bool = True) -> None:
        self.times = times or Times()
        self.pods: dict[str, FakePod] = {}
        self.calls: list[str] = []
        self.wrong: list[str] = []
        self.fault: Callable[[str], Fault | None] = lambda _: None
        self.refuse: Callable[[dict[str, Any]], Refusal | None] = lambda _: None
        self.make_machine: Callable[[], Machine] = NoMachine
        self.prices = {"SECURE": 0.74, "COMMUNITY": 0.34}
        self.stock = {"EU-RO-1": "LOW", "US-IL-1": "MEDIUM"}
        self.gpus = [GPU]
        self.lag = 0
        self.unread_for = 0
        self.more_system_log: list[str] = []
        self.gauge = 0
        self.billed_before: dict[str, float] = {}
        self.ahead_s = 0.0
        self.is_read_only = False
        self.prints_host_keys = True
        self.ways_to_be_lost: type[BaseException] = ConnectionResetError
        self.url = "http://runpod.test"
        self.is_served = False
        self.document = openapi() if is_checked and DOCUMENTS.is_dir() else None
        self._made = 0
        self._lock = threading.Lock()
        self.is_over = False

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """One request."""
        request = Request(environ)
        call = f"{request.method} {request.path}"
        with self._lock:
            self.calls.append(call)
            fault = self.fault(call)
            response = failure(fault, self.ways_to_be_lost) or self._answer(request)
            if fault in ("500-after", "lost-after"):
                late: Fault = "500" if fault == "500-after" else "lost"
                response = failure(late, self.ways_to_be_lost) or response
        response.headers.setdefault("x-request-id", f"req-{len(self.calls)}")
        response.headers["Date"] = http_date(self._now())
        return response(environ, start)

    def _now(self) -> float:
        return time.time() + self.ahead_s

    def _answer(self, request: Request) -> Response:
        if "python" in request.headers.get("User-Agent", "python").lower():
            return Response("error code: 1010", 403, mimetype="text/plain")
        refused = self._check(request) or self._guard(request)
        if refused:
            return refused
        try:
            endpoint, values = ROUTES.bind_to_environ(request.environ).match()
        except HTTPException as err:
            return problem(err.code or 404, "resource not found")
        found: Response = getattr(self, f"_{endpoint}")(request, **values)
        if self.document is not None and not found.is_streamed:
            check_answer(request, found, self.document)
        return found

    def _check(self, request: Request) -> Response | None:
        if self.document is None:
            return None
        try:
            faults = faults_of(request, self.document)
        except NoTokenError:
            return problem(401, "missing bearer token")
        if faults:
            self.wrong.append(f"{request.method} {request.path}: {faults}")
            return problem(422, "Request validation failed.", faults)
        return None

    def _guard(self, request: Request) -> Response | None:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if key == KEY:
            is_refused = self.is_read_only and request.method != "GET"
            return problem(403, "access denied") if is_refused else None
        own = next((pod for pod in self.pods.values() if pod.key == key), None)
        if own is None:
            return problem(401, "missing bearer token")
        is_own = request.path.startswith(f"/v2/pods/{own.id}")
        return None if is_own else problem(403, "access denied")

    # ---- pods ----

    def _list(self, request: Request) -> Response:
        # Newest first, in pages: a client that reads the first alone would overlook some.
        size, start = 3, int(request.args.get("cursor", "0"))
        pods = []
        for pod in reversed(self.pods.values()):
            if pod.hidden_for == 0 or start:
                pods.append(pod)
            pod.hidden_for = max(0, pod.hidden_for - (not start))
        page = pods[start : start + size]
        more = start + size < len(pods)
        pagination = {"nextCursor": str(start + size) if more else None, "hasNextPage": more}
        return answer({"pods": [self._shown(pod) for pod in page], "pagination": pagination})

    def _create(self, request: Request) -> Response:
        body = request.get_json()
        refusal = self.refuse(body) or catalog.refusal_of(body, self.gpus, self.stock)
        if refusal:
            return problem(*refusal)
        self._made += 1
        cloud = body.get("cloud", "SECURE")
        pod_id = f"pod{self._made:06d}"
        pod = FakePod(pod_id, body, self.make_machine(), self.prices[cloud] + 0.01)
        pod.hidden_for, pod.created_at = self.lag, self._now()
        self.pods[pod_id] = pod
        pod.system_log += [f"create container {body['image']}", f"{IMAGE} Pulling from runpod"]
        self._boot(pod)
        return answer(self._shown(pod), 201)

    def _boot(self, pod: FakePod) -> None:
        pod.boot(self._now(), self.more_system_log, prints_host_keys=self.prints_host_keys)

    def _get(self, _: Request, pod_id: str) -> Response:
        pod = self.pods.get(pod_id)
        self.unread_for -= 1
        is_seen = pod is not None and self.unread_for < 0
        return answer(self._shown(pod)) if pod and is_seen else problem(404, "pod not found")

    def _delete(self, _: Request, pod_id: str) -> Response:
        pod = self.pods.pop(pod_id, None)
        if pod is None:
            return problem(404, "pod not found")
        pod.machine.stop()
        return Response(status=204)

    def _act(self, request: Request, pod_id: str) -> Response:
        pod, action = self.pods.get(pod_id), request.get_json()["action"]
        if pod is None:
            return problem(404, "pod not found")
        if action not in actions(pod):
            return problem(409, "action not valid for current pod status")
        if action == "terminate":
            return self._delete(request, pod_id)
        if action == "stop":
            pod.status = "EXITED"
            pod.machine.stop()
        else:
            refusal = self.refuse(request.get_json())
            if refusal:
                return problem(*refusal)
            pod.starts += 1
            self._boot(pod)
        return answer(self._shown(pod))

    def _shown(self, pod: FakePod) -> dict[str, Any]:
        return described(pod, self.times, self.gauge)

    def _logs(self, request: Request, pod_id: str) -> Response:
        pod = self.pods.get(pod_id)
        if pod is None:
            return problem(404, "pod not found")
        source = request.args.get("source", "system")
        return Response(self._stream(pod, source), mimetype="text/event-stream")

    def _stream(self, pod: FakePod, source: str) -> Iterator[bytes]:
        lines, sent = pod.container_log if source == "container" else pod.system_log, 0
        while not self.is_over and pod.id in self.pods:
            for line in lines[sent:]:
                sent += 1
                ts = timestamp(pod.created_at)
                data = json.dumps({"ts": ts, "source": source, "line": line})
                yield f"id: {ts}/{sent:012d}\ndata: {data}\n\n".encode()
            if not self.is_served:
                return  # called in the process, where no reader could give up
            time.sleep(0.05)
            if sent:
                yield b": keepalive\n\n"

    def _gpus(self, _: Request) -> Response:
        return answer({"gpus": [catalog.gpu_type(gpu, self.prices) for gpu in self.gpus]})

    def _gpu(self, _: Request, gpu: str) -> Response:
        if gpu not in self.gpus:
            return problem(404, "resource not found")
        return answer({**catalog.gpu_type(gpu, self.prices), **catalog.availability(self.stock)})

    def _billing(self, request: Request) -> Response:
        return answer(catalog.bills(self.pods, self.billed_before, request.args.get("podId")))


ROUTES = Map(
    [
        Rule("/v2/pods", endpoint="list", methods=["GET"]),
        Rule("/v2/pods", endpoint="create", methods=["POST"]),
        Rule("/v2/pods/<pod_id>", endpoint="get", methods=["GET"]),
        Rule("/v2/pods/<pod_id>", endpoint="delete", methods=["DELETE"]),
        Rule("/v2/pods/<pod_id>/action", endpoint="act", methods=["POST"]),
        Rule("/v2/pods/<pod_id>/logs", endpoint="logs", methods=["GET"]),
        Rule("/v2/catalog/gpus", endpoint="gpus", methods=["GET"]),
        Rule("/v2/catalog/gpus/<gpu>", endpoint="gpu", methods=["GET"]),
        Rule("/v2/billing/pods", endpoint="billing", methods=["GET"]),
    ]
)
