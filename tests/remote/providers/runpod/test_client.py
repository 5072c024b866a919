"""The client of RunPod's API, against the double over TCP: every answer and failure of the API."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from moola_remote.config.typed import decoded
from moola_remote.errors import LimitError, MoolaError, NoCapacityError, UnreachableError
from moola_remote.providers.runpod.answers import BusyError, RefusedError, UnansweredError
from moola_remote.providers.runpod.client import RunpodClient
from moola_remote.providers.runpod.models import GpuType, Pod, PodList
from tests.support.lanes import slowdown
from tests.support.runpod_double import DOCUMENTS, GPU, IMAGE, KEY, Double, Fault, serving

pytestmark = pytest.mark.process

BODY = {
    "name": "moola-a-x-20261122t174100z-7f3abc",
    "image": IMAGE,
    "gpu": {"id": GPU, "minCudaVersion": "12.8"},
    "ports": ["22/tcp"],
    "env": {"PUBLIC_KEY": "ssh-ed25519 AAAA moola"},
    "mounts": {"persistent": {"size": 60, "path": "/workspace"}},
}
needs_documents = pytest.mark.skipif(
    not DOCUMENTS.is_dir(), reason="RunPod's documents do not lie beside this clone"
)


def no_wait(_: float) -> None:
    """Instead of a sleep."""


@pytest.fixture
def double() -> Iterator[Double]:
    with serving(Double()) as double:
        yield double
        assert double.wrong == []


@pytest.fixture
def client(double: Double) -> Iterator[RunpodClient]:
    with RunpodClient(KEY, double.url, sleep=no_wait, silence_s=0.2) as client:
        yield client


def test_a_pod_is_made_read_stopped_started_and_removed(client: RunpodClient) -> None:
    made = client.create(BODY)
    assert (made.status, made.cost) == ("RUNNING", 0.75)
    client.act(made.id, "stop")
    stopped = client.pod(made.id)
    assert stopped is not None
    assert (stopped.status, stopped.cost, stopped.ssh.direct) == ("EXITED", 0.0, None)
    client.act(made.id, "start")
    client.delete(made.id)
    client.delete(made.id)
    assert client.pod(made.id) is None


def test_every_page_of_pods_is_read(client: RunpodClient) -> None:
    made = {client.create({**BODY, "name": f"pod {number}"}).id for number in range(7)}
    assert {pod.id for pod in client.pods()} == made


def test_the_catalog_has_price_and_stock_of_each_cloud(client: RunpodClient) -> None:
    found = client.gpu_type(GPU, "SECURE", count=1, min_cuda="12.8")
    assert (found.price.secure, found.price.community) == (0.74, 0.34)
    assert {stock.id: stock.availability for stock in found.data_centers}["US-IL-1"] == "MEDIUM"
    assert [gpu.id for gpu in client.gpu_types()] == [GPU]


def test_a_log_that_never_ends_is_read_until_it_is_silent(
    client: RunpodClient, double: Double
) -> None:
    pod = client.create(BODY)
    double.pods[pod.id].container_log[:0] = ["hostile \x1b[2J line"]
    lines = client.log(pod.id, "container")
    assert lines[0] == "hostile \\x1b[2J line"
    assert lines[-1].endswith("(ED25519)")


def test_a_log_without_any_line_sends_no_header_and_is_empty(
    client: RunpodClient, double: Double
) -> None:
    pod = client.create(BODY)
    double.pods[pod.id].container_log.clear()
    started = time.monotonic()
    assert client.log(pod.id, "container") == []
    took_s = time.monotonic() - started
    assert took_s < 2.0 * slowdown()


@pytest.mark.parametrize("fault", ["500", "500-after", "html", "html-200", "lost", "lost-after"])
def test_a_create_without_an_answer_is_not_repeated(
    client: RunpodClient, double: Double, fault: Fault
) -> None:
    double.fault = lambda _: fault
    with pytest.raises(UnansweredError) as caught:
        client.create(BODY)
    assert double.calls == ["POST /v2/pods"]
    assert len(double.pods) == fault.endswith("-after")
    assert "\n" not in str(caught.value)


def test_reading_is_repeated_until_it_is_answered(client: RunpodClient, double: Double) -> None:
    faults: Iterator[Fault] = iter(["500", "html", "lost", "429"])
    double.fault = lambda _: next(faults, None)
    assert client.pods() == []
    assert len(double.calls) == 5


def test_a_busy_api_says_how_long_to_wait_and_a_create_is_then_repeated(double: Double) -> None:
    waits: list[float] = []
    faults: Iterator[Fault] = iter(["429"])
    double.fault = lambda _: next(faults, None)
    with RunpodClient(KEY, double.url, sleep=waits.append) as client:
        client.create(BODY)
    assert waits == [1.0]
    assert len(double.pods) == 1


@pytest.mark.parametrize(
    ("after", "wait_s"),
    [("7", 7.0), ("Tue, 24 Nov 2026 10:00:09 GMT", 9.0), ("99999", 60.0)],
)
def test_a_busy_api_may_name_seconds_or_a_time(after: str, wait_s: float) -> None:
    waits: list[float] = []
    reported = {"Retry-After": after, "Date": "Tue, 24 Nov 2026 10:00:00 GMT"}
    answers = iter([httpx.Response(429, headers=reported)])
    transport = httpx.MockTransport(lambda _: next(answers, httpx.Response(200, json={"pods": []})))
    with RunpodClient(KEY, sleep=waits.append, transport=transport) as client:
        client.pods()
    assert waits == [wait_s]


@pytest.mark.parametrize("after", ["", "soon", "²", "-3", "Tue, 99 Nov 2026"])
def test_a_busy_api_that_names_no_time_is_asked_again_by_our_own(after: str) -> None:
    waits: list[float] = []
    reported = [(b"Retry-After", after.encode("latin-1"))]
    answers = iter([httpx.Response(429, headers=reported)])
    transport = httpx.MockTransport(lambda _: next(answers, httpx.Response(200, json={"pods": []})))
    with RunpodClient(KEY, sleep=waits.append, transport=transport) as client:
        client.pods()
    assert len(waits) == 1
    assert 0 <= waits[0] <= 15


def test_an_answer_without_an_end_is_given_up() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 2**20

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    with (
        RunpodClient(KEY, sleep=no_wait, transport=transport) as client,
        pytest.raises(UnansweredError, match="an endless response, 17825792 bytes so far"),
    ):
        client.create(BODY)


@pytest.mark.parametrize(
    ("part", "num_lines"), [(b"x" * 2**16, 0), (b'data: {"line": "on"}\n' * 2000, 1000)]
)
def test_a_log_that_talks_for_ever_is_left(
    part: bytes, num_lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moola_remote.providers.runpod.client.LOG_LIMIT_S", 0.2)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=itertools.repeat(part)))
    with RunpodClient(KEY, transport=transport) as client:
        assert len(client.log("pod1", "system")) == num_lines


def test_an_api_that_stays_busy_is_given_up(client: RunpodClient, double: Double) -> None:
    double.fault = lambda _: "429"
    with pytest.raises(BusyError, match="429 rate limit exceeded for the minute window"):
        client.pods()


def test_an_unreached_api_is_one_line(tmp_path: Path) -> None:
    with (
        RunpodClient(KEY, "http://127.0.0.1:1", sleep=no_wait) as client,
        pytest.raises(UnansweredError, match=r"^RunPod: POST /v2/pods: .*refused") as caught,
    ):
        client.create(BODY)
    assert caught.value.was_sent is False


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ("error-400-no-capacity.json", NoCapacityError, "no longer any instances available"),
        ("error-401.json", RefusedError, "missing bearer token; make a key at console.runpod.io"),
        ("error-402.json", LimitError, "insufficient balance; add credit"),
        ("error-403.json", RefusedError, "access denied; give the API key the permission `All`"),
        ("error-403-cloudflare.txt", RefusedError, "403 error code: 1010"),
        ("error-404-pod.json", RefusedError, "pod not found"),
        ("error-409-action.json", RefusedError, "action not valid for current pod status"),
        ("error-410-v1-retired.json", RefusedError, "410 Gone; this API has been retired"),
        ("error-413.json", RefusedError, "request body exceeds 102400 bytes"),
        ("error-422-unknown-field.json", RefusedError, "additional properties 'imageName'"),
        ("error-429.json", BusyError, "rate limit exceeded"),
        ("error-500.json", UnansweredError, "internal error"),
        ("error-502-html.txt", UnansweredError, "502 (from a proxy) 502 Bad Gateway"),
    ],
)
@needs_documents
def test_each_error_of_the_api_is_one_line(answer: str, kind: type[MoolaError], said: str) -> None:
    status = int(answer.split("-")[1].split(".", maxsplit=1)[0])
    body = (DOCUMENTS / "examples" / answer).read_bytes()
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    with (
        RunpodClient(KEY, sleep=no_wait, transport=transport) as client,
        pytest.raises(kind) as caught,
    ):
        client.create(BODY)
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_documents
@pytest.mark.parametrize("name", ["create-201", "get-", "action-start", "action-stop-2", "live-"])
def test_each_recorded_pod_is_read(name: str) -> None:
    files = list((DOCUMENTS / "examples").glob(f"{name}*.json"))
    assert files
    for file in files:
        pod = decoded(Pod, file.read_bytes())
        assert pod.status
        assert (pod.ssh.direct is not None) == ('"direct": {' in file.read_text())


@needs_documents
def test_each_recorded_list_and_catalog_is_read() -> None:
    examples = DOCUMENTS / "examples"
    assert len(decoded(PodList, (examples / "list-pods.json").read_bytes()).pods) == 1
    empty = decoded(PodList, (examples / "list-pods-empty-no-pagination.json").read_bytes())
    assert empty.pagination.has_next_page is False
    none = decoded(GpuType, (examples / "catalog-gpu-4090-none.json").read_bytes())
    assert none.data_centers == []


@pytest.mark.parametrize("body", ["[]", "{}", "not json", json.dumps({"pods": [{"id": "../x"}]})])
def test_an_answer_that_is_none_is_one_line(body: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    with (
        RunpodClient(KEY, transport=transport) as client,
        pytest.raises(UnreachableError, match="not an answer of API v2"),
    ):
        client.pods()


def test_a_key_that_may_only_read_is_distinguished_from_one_that_may_write(
    client: RunpodClient, double: Double
) -> None:
    assert client.may_write()
    double.is_read_only = True
    assert not client.may_write()


def test_the_key_of_a_pod_opens_that_pod_alone(client: RunpodClient, double: Double) -> None:
    own, other = client.create(BODY), client.create(BODY)
    with RunpodClient(double.pods[own.id].key, double.url) as inside:
        assert inside.pod(own.id) is not None
        with pytest.raises(RefusedError, match="access denied"):
            inside.pod(other.id)
        inside.act(own.id, "stop")
    assert double.pods[own.id].status == "EXITED"


@needs_documents
def test_the_double_refuses_what_the_document_does_not_know(double: Double) -> None:
    with (
        RunpodClient(KEY, double.url) as client,
        pytest.raises(RefusedError, match=r"422 .*imageName"),
    ):
        client.create({**BODY, "imageName": "x"})
    assert double.wrong.pop().startswith("POST /v2/pods")


def test_the_double_refuses_the_name_of_a_library_as_the_proxy_does(double: Double) -> None:
    said = httpx.get(f"{double.url}/v2/pods", headers={"Authorization": f"Bearer {KEY}"})
    assert (said.status_code, said.text) == (403, "error code: 1010")
