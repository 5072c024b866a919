"""The budget over pods: what one leaves goes to the others, and the sum never exceeds the limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_remote.errors import LimitError, PodGoneError, UnreachableError
from moola_remote.sweep.money import FETCH_S, Budget
from moola_remote.sweep.shares import Shares


class World:
    """Pods that keep their ends, a clock, and the meter."""

    def __init__(self, limit: float | None, prices: dict[str, float]) -> None:
        self.now, self.prices = 1000.0, prices
        self.budget = Budget(Path("/nowhere/money.json"), limit, clock=lambda: self.now)
        setattr(self.budget, "_save", lambda: None)  # noqa: B010 - nothing is written here
        self.ends: dict[str, float] = {}
        self.deaf: set[str] = set()
        self.said: list[str] = []
        self.limit, self.bill = limit, 0.0
        self.shares = Shares(self.budget, self.set_end, self.said.append)
        for name, price in prices.items():
            self.budget.open(name, price)

    def set_end(self, name: str, end: float) -> None:
        if name in self.deaf:
            raise UnreachableError(f"{name}: no answer")
        self.ends[name] = end
        self.check()

    def check(self) -> None:
        """At no moment may what was billed, and what all pods may still cost, exceed the limit."""
        assert self.limit is not None
        later = sum(self.cost(name, end - self.now) for name, end in self.ends.items())
        assert self.bill + later <= self.limit + 1e-9

    def cost(self, name: str, seconds: float) -> float:
        return max(0.0, seconds) * self.prices[name] / 3600

    def wait(self, seconds: float) -> None:
        """Let time go by; each pod is billed up to its end, at which it stops itself."""
        for name, end in self.ends.items():
            self.bill += self.cost(name, min(seconds, end - self.now))
        self.now += seconds

    def leave(self, name: str, *, is_billed: bool) -> None:
        if not is_billed:
            self.budget.close(name)
            del self.ends[name]
        self.shares.finish(name, is_billed=is_billed)


def test_what_a_pod_leaves_goes_to_the_others() -> None:
    world = World(3.0, {"a": 1.0, "b": 1.0, "c": 1.0})
    world.shares.begin(["a", "b", "c"], world.prices)
    assert world.ends == dict.fromkeys("abc", 1000 + 3600 - FETCH_S)
    world.wait(600)
    world.leave("a", is_billed=False)
    # 3 dollars less half of one that is spent, for two pods.
    assert world.ends == dict.fromkeys("bc", pytest.approx(1600 + 1.25 * 3600 - FETCH_S))
    world.leave("b", is_billed=False)
    assert world.ends == {"c": pytest.approx(1600 + 2.5 * 3600 - FETCH_S)}


def test_a_pod_that_may_still_cost_something_keeps_its_share() -> None:
    world = World(2.0, {"a": 1.0, "b": 1.0})
    world.shares.begin(["a", "b"], world.prices)
    before = dict(world.ends)
    world.wait(600)
    world.leave("a", is_billed=True)
    assert world.ends == before


def test_a_pod_that_is_out_of_reach_costs_no_other_and_is_named() -> None:
    world = World(3.0, {"a": 1.0, "b": 1.0, "c": 1.0})
    world.shares.begin(["a", "b", "c"], world.prices)
    world.deaf.add("b")
    before = world.ends["b"]
    world.wait(600)
    world.leave("a", is_billed=False)
    assert world.ends["b"] == before < world.ends["c"]
    assert world.said == ["pod b: its end stays where it was; b: no answer"]


def test_a_pod_that_vanishes_before_it_has_an_end_leaves_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    world = World(3.0, {"a": 1.0, "b": 1.0, "c": 1.0})
    tries: list[str] = []

    def set_end(name: str, end: float) -> None:
        tries.append(name)
        if name == "b" and tries.count("b") == 1:
            raise UnreachableError("b: connection lost")
        if name == "b":
            raise PodGoneError("pod b: not found", "up", is_removed=True)
        world.set_end(name, end)

    shares = Shares(world.budget, set_end, world.said.append)
    world.budget.close("b")
    shares.begin(["a", "b", "c"], world.prices)
    assert world.said[0] == "pod b: b: connection lost; trying again"
    assert world.said[-1] == "pod b: not found"
    assert world.ends == dict.fromkeys("ac", pytest.approx(1000 + 1.5 * 3600 - FETCH_S))
    shares.finish("b", is_billed=False)
    assert set(world.ends) == {"a", "c"}


def test_without_a_limit_or_a_price_no_end_is_set() -> None:
    world = World(None, {"a": 1.0, "b": 1.0})
    world.shares.begin(["a", "b"], {})
    world.shares.finish("a", is_billed=False)
    assert world.ends == {}


def test_a_pod_that_can_not_stop_itself_is_an_error() -> None:
    def refuse(name: str, end: float) -> None:
        raise LimitError(f"{name} at {end:.0f}")

    world = World(2.0, {"a": 1.0})
    with pytest.raises(LimitError):
        Shares(world.budget, refuse, world.said.append).begin(["a"], world.prices)


@given(
    st.lists(st.floats(0.1, 10), min_size=1, max_size=6),
    st.floats(0.01, 100),
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans(), st.floats(0, 4000))),
)
def test_the_limit_is_kept_whatever_happens(
    prices: list[float], limit: float, steps: list[tuple[int, bool, bool, float]]
) -> None:
    world = World(limit, {str(index): price for index, price in enumerate(prices)})
    names = list(world.prices)
    world.shares.begin(names, world.prices)
    for index, is_billed, is_deaf, seconds in steps:
        world.wait(seconds)
        world.deaf = {names[index % len(names)]} if is_deaf and names else set()
        name = names.pop(index % len(names)) if len(names) > 1 else None
        if name is not None:
            world.leave(name, is_billed=is_billed)
        world.check()
