"""RunPod's API v2 as a real HTTP server that follows its document, its examples and its oddities.

    RUNNING is said from the time a pod is scheduled on; `runtime` and `ssh.direct` come later
    after stop and start the old port is told for a while, and the host key is new
    no capacity is free text in a 400; a field that the document has not is a 422
    the log stream never ends, and sends not even a header before its first line

It is a WSGI application: served over TCP, or called in the process for thousands of tries. Every
request and answer is checked against the OpenAPI document, which lies beside the repository.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import yaml
from openapi_core import Config, OpenAPI
from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest, WerkzeugOpenAPIResponse
from openapi_core.exceptions import OpenAPIError
from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date
from werkzeug.routing import Map, Rule
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

DOCUMENTS = Path(__file__).resolve().parents[3] / "shared" / "runpod"
KEY = "rpa_TESTKEY0123456789"
GPU = "NVIDIA GeForce RTX 4090"
IMAGE = "runpod/pytorch:1.2.0-cu1281-torch291-ubuntu2404"
NO_CAPACITY = (
    "There are no longer any instances available with the requested specifications. "
    "Please refresh and try again."
)
NO_GPU_ON_HOST = "There are not enough free GPUs on the host machine to start this pod."

# What goes wrong with one request; `-after` has been carried out first.
Fault = Literal["429", "500", "500-after", "html", "html-200", "lost", "lost-after"]
Refusal = tuple[int, str]


@dataclass(frozen=True)
class Times:
    """Seconds since a start at which the next thing is told."""

    running: float = 0.0
    address: float = 0.0
    sshd: float = 0.0
    runtime: float = 0.0
    fresh_port: float = 0.0


class Machine(Protocol):
    """The SSH server of a pod."""

    def start(self, env: dict[str, str], /) -> tuple[int, str]:
        """A new server with a new host key; its port and its host key's fingerprint."""

    def stop(self) -> None:
        """End it, and what it started."""


class NoMachine:
    """A pod that nobody logs in to."""

    def start(self, _: dict[str, str]) -> tuple[int, str]:
        """A port where nobody listens."""
        return 1, f"SHA256:{'A' * 43}"

    def stop(self) -> None:
        """Nothing to end."""


@dataclass
class FakePod:
    """One pod; `body` is the request that made it."""

    id: str
    body: dict[str, Any]
    machine: Machine
    price: float
    status: str = "RUNNING"
    created_at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)
    started_at: float = field(default_factory=time.time)
    starts: int = 1
    hidden_for: int = 0
    port: int | None = None
    old_port: int | None = None
    fingerprint: str = ""
    container_log: list[str] = field(default_factory=list)
    system_log: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The key that is found inside the pod; it opens this pod alone."""
        return f"pod_{self.id}"


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

    def __init__(self, *, times: Times = Times(), is_checked: bool = True) -> None:
        self.times = times
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
            response = self._before(fault) or self._answer(request)
            if fault in ("500-after", "lost-after"):
                response = self._before("500" if fault == "500-after" else "lost") or response
        response.headers.setdefault("x-request-id", f"req-{len(self.calls)}")
        response.headers["Date"] = http_date(self._now())
        return response(environ, start)

    def _now(self) -> float:
        return time.time() + self.ahead_s

    def _before(self, fault: Fault | None) -> Response | None:
        if fault == "lost":
            raise self.ways_to_be_lost("the connection is lost")
        if fault == "429":
            busy = problem(429, "rate limit exceeded for the minute window")
            busy.headers["Retry-After"] = "1"
            return busy
        if fault == "500":
            return problem(500, "internal error")
        if fault in ("html", "html-200"):
            page = "<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
            return Response(page, 502 if fault == "html" else 200, mimetype="text/html")
        return None

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
        answer: Response = getattr(self, f"_{endpoint}")(request, **values)
        if self.document is not None and not answer.is_streamed:
            self.document.validate_response(
                WerkzeugOpenAPIRequest(request), WerkzeugOpenAPIResponse(answer)
            )
        return answer

    def _check(self, request: Request) -> Response | None:
        if self.document is None:
            return None
        try:
            self.document.validate_request(WerkzeugOpenAPIRequest(request))
        except OpenAPIError as err:
            if "Security" in type(err).__name__:
                return problem(401, "missing bearer token")
            errors = getattr(err.__cause__, "schema_errors", [])
            said = [f"$: {error.message}" for error in errors] or [str(err)]
            self.wrong.append(f"{request.method} {request.path}: {said}")
            return problem(422, "Request validation failed.", said)
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
        return answer({"pods": [self._json(pod) for pod in page], "pagination": pagination})

    def _create(self, request: Request) -> Response:
        body = request.get_json()
        refusal = self.refuse(body) or self._no_place(body)
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
        return answer(self._json(pod), 201)

    def _no_place(self, body: dict[str, Any]) -> Refusal | None:
        if "persistent" in body.get("mounts", {}) and "network" in body["mounts"]:
            return 400, "request could not be processed"
        if {"minCudaVersion", "allowedCudaVersions"} <= set(body["gpu"]):
            return 400, "request could not be processed"
        wanted = body.get("dataCenterIds")
        has_stock = any(
            level != "NONE" for place, level in self.stock.items() if not wanted or place in wanted
        )
        is_known = body["gpu"]["id"] in self.gpus
        return None if has_stock and is_known else (400, NO_CAPACITY)

    def _boot(self, pod: FakePod) -> None:
        env = {
            **pod.body.get("env", {}),
            "RUNPOD_POD_ID": pod.id,
            "RUNPOD_API_KEY": pod.key,
        }
        pod.status, pod.started, pod.started_at = "RUNNING", time.monotonic(), self._now()
        pod.old_port = pod.port
        pod.port, pod.fingerprint = pod.machine.start(env)
        pod.system_log += ["ab6fdd207dfd Extracting [====>]", f"start container for {IMAGE}: begin"]
        pod.system_log += self.more_system_log
        pod.container_log += ["Pod Started"]
        if self.prints_host_keys:
            rsa = f"SHA256:{'R' * 43}"
            pod.container_log += [
                *("RSA key fingerprint:", f"3072 {rsa} root@x (RSA)"),
                *("SSH host keys:", "Key: /etc/ssh/ssh_host_ed25519_key.pub"),
                f"256 {pod.fingerprint} root@a1b2c3 (ED25519)",
            ]

    def _get(self, _: Request, pod_id: str) -> Response:
        pod = self.pods.get(pod_id)
        self.unread_for -= 1
        is_seen = pod is not None and self.unread_for < 0
        return answer(self._json(pod)) if pod and is_seen else problem(404, "pod not found")

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
        return answer(self._json(pod))

    def _json(self, pod: FakePod) -> dict[str, Any]:
        age, body = time.monotonic() - pod.started, pod.body
        is_up, times = pod.status == "RUNNING", self.times
        is_placed = is_up and age >= times.running
        port = pod.port
        if pod.starts > 1 and age < times.fresh_port:
            port = pod.old_port
        elif age < times.sshd:
            port = 1  # mapped, but nobody listens yet
        has_address = is_placed and age >= times.address and "22/tcp" in body.get("ports", [])
        direct = {"host": "127.0.0.1", "port": port, "username": machine_user(pod)}
        gauges = {
            "cpu": {"util": 3},
            "gpus": [{"memoryUtil": 0, "util": self.gauge}],
            "memory": {"util": 4},
            "uptime": int(age),
            "ports": [{"ip": "127.0.0.1", "private": 22, "public": port, "type": "tcp"}],
        }
        return {
            "id": pod.id,
            "name": body["name"],
            "image": body["image"],
            "args": "",
            "disk": body.get("disk", 20),
            "ports": body.get("ports", []),
            "env": body.get("env", {}),
            "registry": None,
            "status": pod.status if is_placed or not is_up else "PROVISIONING",
            "actions": actions(pod),
            "mounts": body.get("mounts", {}),
            "gpu": {**body["gpu"], "vcpuCount": 16, "memory": 62},
            "cloud": body.get("cloud", "SECURE"),
            "dataCenterId": (body.get("dataCenterIds") or ["EU-RO-1"])[0] if is_placed else None,
            "cudaVersion": "12.8" if is_placed else None,
            "ssh": {
                "proxy": None,
                "direct": {**direct, "command": f"ssh root@127.0.0.1 -p {port}"}
                if has_address
                else None,
            },
            "template": None,
            "cost": pod.price if is_up else 0.0,
            "locked": False,
            "globalNetworking": self._networking(pod, is_placed=is_placed),
            "runtime": gauges if is_up and age >= times.runtime else None,
            "createdAt": timestamp(pod.created_at),
            "startedAt": timestamp(pod.started_at) if is_placed else None,
        }

    def _networking(self, pod: FakePod, *, is_placed: bool) -> dict[str, Any]:
        """The network between pods; here each has an address of the loopback."""
        if not pod.body.get("globalNetworking"):
            return {"enabled": False}
        number = [*self.pods, pod.id].index(pod.id) + 10
        address = {"ip": f"127.0.5.{number}", "internalDns": f"{pod.id}.runpod.internal"}
        return {"enabled": True, **(address if is_placed else {})}

    def _logs(self, request: Request, pod_id: str) -> Response:
        pod = self.pods.get(pod_id)
        if pod is None:
            return problem(404, "pod not found")
        source = request.args.get("source", "system")
        lines = pod.container_log if source == "container" else pod.system_log

        def stream() -> Iterator[bytes]:
            sent = 0
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

        return Response(stream(), mimetype="text/event-stream")

    # ---- catalog, billing ----

    def _gpus(self, _: Request) -> Response:
        return answer({"gpus": [self._gpu_json(gpu) for gpu in self.gpus]})

    def _gpu(self, _: Request, gpu: str) -> Response:
        if gpu not in self.gpus:
            return problem(404, "resource not found")
        levels = [level for level in ("HIGH", "MEDIUM", "LOW") if level in self.stock.values()]
        there = [
            {"id": place, "name": place, "availability": level}
            for place, level in self.stock.items()
            if level != "NONE"
        ]
        told = {"availability": levels[0] if levels else "NONE"}
        return answer({**self._gpu_json(gpu), **told, **({"dataCenters": there} if there else {})})

    def _gpu_json(self, gpu: str) -> dict[str, Any]:
        return {
            "id": gpu,
            "name": gpu.rpartition("GeForce ")[2],
            "pool": "ADA_24",
            "manufacturer": "NVIDIA",
            "memory": 24,
            "secure": True,
            "community": True,
            "price": {
                "secure": self.prices["SECURE"],
                "community": self.prices["COMMUNITY"],
                "serverless": 1.1,
            },
            "maxCount": {"secure": 8, "community": 4},
        }

    def _billing(self, request: Request) -> Response:
        wanted = request.args.get("podId")
        amounts = {"totalAmount": 1.5, "gpuAmount": 1.48, "cpuAmount": 0.0, "diskAmount": 0.02}
        span = {"startTime": "2026-11-22T00:00:00Z", "endTime": "2026-11-23T00:00:00Z"}
        totals = {pod_id: 1.5 for pod_id in self.pods if wanted in (None, pod_id)}
        records = [
            {**span, "podId": pod_id, **amounts, "totalAmount": total}
            for pod_id, total in {**totals, **self.billed_before}.items()
        ]
        count = {"recordCount": len(records), "uniquePodCount": len(records)}
        return answer({"records": records, "metadata": {"query": span, **count, "totals": amounts}})


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


@cache
def openapi() -> OpenAPI:
    """The document, for any host."""
    document = yaml.safe_load((DOCUMENTS / "openapi-v2-pods.yaml").read_text(encoding="utf-8"))
    config = Config(extra_media_type_deserializers={"application/problem+json": json.loads})
    return OpenAPI.from_dict({**document, "servers": [{"url": "/"}]}, config=config)


def actions(pod: FakePod) -> list[str]:
    """What may be asked of a pod as it stands."""
    return ["stop", "restart", "terminate"] if pod.status == "RUNNING" else ["start", "terminate"]


def machine_user(pod: FakePod) -> str:
    """Who logs in."""
    return getattr(pod.machine, "user", "root")


def answer(value: dict[str, Any], status: int = 200) -> Response:
    """JSON."""
    return Response(json.dumps(value), status, mimetype="application/json")


def problem(status: int, detail: str, errors: list[str] | None = None) -> Response:
    """``application/problem+json``."""
    told = {"title": "Problem", "status": status, "detail": detail}
    more = {"errors": errors} if errors else {}
    return Response(json.dumps({**told, **more}), status, mimetype="application/problem+json")


def timestamp(seconds: float) -> str:
    """As the API writes times."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


class Quiet(WSGIRequestHandler):
    """Answers as one that keeps connections open, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def send_response(self, code: int, message: str | None = None) -> None:
        """Without the Date of this machine's clock: the double has its own."""
        self.send_response_only(code, message)

    def connection_dropped(self, *_: object) -> None:
        """A lost connection is closed, so that the client needn't wait for its time-out."""
        self.close_connection = True

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def serving(double: Double) -> Iterator[Double]:
    """`double` on a port of its own; its `url` says where."""
    server = make_server("127.0.0.1", 0, double, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    double.url, double.is_served = f"http://127.0.0.1:{server.server_port}", True
    try:
        yield double
    finally:
        double.is_over = True
        server.shutdown()
        thread.join()
        server.server_close()
        for pod in double.pods.values():
            with suppress(OSError):
                pod.machine.stop()
