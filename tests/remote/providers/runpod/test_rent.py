"""Renting: one pod or none, whatever the API does; against the double, in this process."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial

import httpx
import pytest
from msgspec import structs

from moola_remote.config.settings import RunpodConfig
from moola_remote.errors import LimitError, MoolaError, NoCapacityError, UnreachableError
from moola_remote.providers.runpod.client import RunpodClient
from moola_remote.providers.runpod.models import Pod
from moola_remote.providers.runpod.offers import find_offers
from moola_remote.providers.runpod.pod_name import PodName, owner_of_this_machine
from moola_remote.providers.runpod.rent import Renting, halt, remove
from tests.support.runpod_double import GPU, IMAGE, KEY, NO_CAPACITY, Double, Fault

FAULTS: tuple[Fault, ...] = ("429", "500", "500-after", "html", "lost", "lost-after")
WANTED = RunpodConfig(gpus=[GPU], max_price=0.9, image=IMAGE, cuda="12.8")


def no_wait(_: float) -> None:
    """Instead of a sleep."""


def in_hours(hours: float) -> datetime:
    return datetime.now(timezone.utc) + timedelta(hours=hours)


def make_client(double: Double) -> RunpodClient:
    double.ways_to_be_lost = httpx.ReadTimeout
    return RunpodClient(KEY, double.url, sleep=no_wait, transport=httpx.WSGITransport(double))


def renting(
    client: RunpodClient, wanted: RunpodConfig = WANTED, say: Callable[[str], None] = print
) -> Renting:
    name = PodName.new("anna", "x", in_hours(1))
    return Renting(client, wanted, name, "ssh-ed25519 AAAA", say, no_wait)


def rent(double: Double, wanted: RunpodConfig = WANTED) -> tuple[Pod, list[str]]:
    said: list[str] = []
    with make_client(double) as client:
        found = find_offers(client, wanted)
        return renting(client, wanted, said.append).rent(found), said


def test_the_best_stocked_data_centre_is_asked_first_and_alone() -> None:
    double = Double()
    pod, said = rent(double)
    assert double.pods[pod.id].body == {
        "name": pod.name,
        "image": IMAGE,
        "cloud": "SECURE",
        "gpu": {"id": GPU, "count": 1, "minCudaVersion": "12.8"},
        "disk": 40,
        "ports": ["22/tcp"],
        "mounts": {"persistent": {"size": 60, "path": "/workspace"}},
        "env": {"PUBLIC_KEY": "ssh-ed25519 AAAA"},
        "dataCenterIds": ["US-IL-1"],
    }
    assert said == [
        f"{GPU}: SECURE $0.74/h, COMMUNITY $0.34/h; max_price $0.90",
        f"asking for {GPU}, SECURE, US-IL-1, $0.74/h",
    ]
    assert double.wrong == []


def test_the_network_between_pods_is_asked_for_where_there_is_one() -> None:
    double = Double()
    linked = {"global_networking": True, "clouds": ["COMMUNITY", "SECURE"]}
    pod, said = rent(double, structs.replace(WANTED, **linked))
    assert double.pods[pod.id].body["globalNetworking"] is True
    assert pod.cloud == "SECURE"
    assert f"not tried: {GPU}, COMMUNITY: has no network between pods" in said
    assert double.wrong == []
    with make_client(double) as client:
        seen = client.pod(pod.id)
    assert seen is not None
    assert seen.global_networking.enabled
    assert seen.global_networking.ip == "127.0.5.10"


def test_each_candidate_is_one_request_and_each_refusal_has_its_reason() -> None:
    double = Double()
    double.refuse = lambda body: None if body["cloud"] == "COMMUNITY" else (400, NO_CAPACITY)
    both = structs.replace(WANTED, clouds=["SECURE", "COMMUNITY"])
    pod, said = rent(double, both)
    assert pod.cloud == "COMMUNITY"
    assert double.calls.count("POST /v2/pods") == 4
    assert [line.split(":")[0] for line in said[1:]] == [
        f"asking for {GPU}, SECURE, US-IL-1, $0.74/h",
        "refused",
        f"asking for {GPU}, SECURE, EU-RO-1, $0.74/h",
        "refused",
        f"asking for {GPU}, SECURE, any data centre, $0.74/h",
        "refused",
        f"asking for {GPU}, COMMUNITY, US-IL-1, $0.34/h",
    ]
    assert NO_CAPACITY[:40] in said[2]


def test_above_the_ceiling_nothing_is_asked_for() -> None:
    double = Double()
    with pytest.raises(NoCapacityError, match=r"\$0.74/h is above max_price \$0.50"):
        rent(double, structs.replace(WANTED, max_price=0.5))
    assert "POST /v2/pods" not in double.calls


def test_a_pod_that_costs_more_than_the_catalog_said_is_given_back() -> None:
    double = Double()
    with pytest.raises(NoCapacityError, match=r"\$0.75/h would be charged"):
        rent(double, structs.replace(WANTED, max_price=0.74))
    assert double.pods == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gpus": ["NVIDIA B9000"]}, "404 resource not found"),
        ({"gpu_count": 9, "max_price": 99}, "a pod has 8 at most, gpu_count is 9"),
    ],
)
def test_what_the_catalog_rules_out_is_not_tried(change: dict[str, object], said: str) -> None:
    double = Double()
    with pytest.raises(NoCapacityError, match=said):
        rent(double, structs.replace(WANTED, **change))
    assert "POST /v2/pods" not in double.calls


@pytest.mark.parametrize(
    ("status", "kind"), [(402, LimitError), (422, MoolaError), (401, MoolaError)]
)
def test_what_no_other_candidate_would_fix_ends_the_search(
    status: int, kind: type[MoolaError]
) -> None:
    double = Double()
    double.refuse = lambda _: (status, "no")
    with pytest.raises(kind, match=f"{status} no"):
        rent(double)
    assert double.calls.count("POST /v2/pods") == 1


def test_a_pod_that_was_made_without_an_answer_is_adopted() -> None:
    double = Double()
    faults: Iterator[Fault] = iter(["500-after"])
    double.fault = lambda call: next(faults, None) if call.startswith("POST") else None
    pod, _ = rent(double)
    assert list(double.pods) == [pod.id]


def test_a_pod_that_can_not_be_looked_for_is_reported() -> None:
    double = Double()
    double.fault = lambda call: "500-after" if call.startswith("POST") else "html"
    with make_client(double) as client:
        double_without_fault, double.fault = double.fault, lambda _: None
        found = find_offers(client, WANTED)
        double.fault = double_without_fault
        with pytest.raises(UnreachableError, match="may have been made, and may cost money"):
            renting(client).rent(found)


@pytest.mark.parametrize("call", ["POST /v2/pods", "GET /v2/pods"])
def test_an_interrupt_at_any_call_leaves_no_pod(call: str) -> None:
    double = Double()

    class Pressed(KeyboardInterrupt):
        """Ctrl-C, after the API has done what it was asked for."""

    times = iter(["500-after"] if call.startswith("GET") else [])
    pressed = iter([True])

    def fault(asked: str) -> Fault | None:
        if asked == "POST /v2/pods":
            double.ways_to_be_lost = Pressed
            if call == asked and next(pressed, False):
                return "lost-after"
            return "500-after" if next(times, None) else None
        return "lost" if asked == call and double.pods and next(pressed, False) else None

    double.fault = fault
    with pytest.raises(Pressed):
        rent(double)
    assert double.pods == {}


@pytest.mark.fuzz
def test_no_pod_is_left_behind_in_1000_tries_with_random_failures() -> None:
    chance = random.Random(6)
    double = Double(is_checked=False)
    ends = {"rented": 0, "none": 0, "reported": 0}
    for _ in range(1000):
        rate = chance.choice([0.1, 0.3, 0.5])
        double.fault = partial(fault_at, chance, rate)
        double.refuse = lambda _: (400, NO_CAPACITY) if chance.random() < 0.6 else None
        double.lag = chance.randrange(3)
        double.pods.clear()
        kept, said = rent_or_not(double)
        left = {pod.id: pod.body["name"] for pod in double.pods.values()}
        is_reported = "may have been made" in said
        ends["rented" if kept else "reported" if is_reported else "none"] += 1
        if is_reported:
            assert all(name in said for name in left.values())
        else:
            assert set(left) == kept
    sys.stdout.write(f"{ends}, calls: {len(double.calls)}\n")
    assert ends["rented"] > 500
    assert ends["none"] > 100
    assert ends["reported"] < 20, ends


def rent_or_not(double: Double) -> tuple[set[str], str]:
    """The pod that was rented, or none and what was said."""
    try:
        return {rent(double)[0].id}, ""
    except MoolaError as err:
        return set(), str(err)


def fault_at(chance: random.Random, rate: float, _: str) -> Fault | None:
    """Some fault, at this rate."""
    return chance.choice(FAULTS) if chance.random() < rate else None


def test_removing_and_stopping_are_seen_to_have_happened() -> None:
    double = Double()
    pod, _ = rent(double)
    with make_client(double) as client:
        halt(client, pod.id, no_wait)
        halt(client, pod.id, no_wait)
        assert double.pods[pod.id].status == "EXITED"
        remove(client, pod.id, no_wait)
        remove(client, pod.id, no_wait)
        assert double.pods == {}


def test_a_pod_that_does_not_stop_is_reported_with_its_cost() -> None:
    double = Double()
    pod, _ = rent(double)
    double.fault = lambda call: "500" if call.endswith("/action") else None
    with (
        make_client(double) as client,
        pytest.raises(UnreachableError, match="is still RUNNING, and still costs money"),
    ):
        halt(client, pod.id, no_wait)


def test_a_name_holds_owner_pod_and_deadline() -> None:
    name = PodName.new("anna", "runpod-4090", in_hours(24))
    assert PodName.parse(str(name)) == name
    left = name.deadline - datetime.now(timezone.utc)
    assert timedelta(hours=23) < left <= timedelta(hours=24)
    assert len(str(name)) < 60
    assert PodName.parse("my-pod") is None
    assert PodName.parse("moola-a-b-20269999t000000z-01234567") is None
    assert owner_of_this_machine().isalnum()
