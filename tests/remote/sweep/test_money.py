"""The meter over pods, and whether one trial more fits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_remote.errors import ConfigError
from moola_remote.sweep.money import Budget
from moola_remote.sweep.trial import Trial


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def done(count: int, seconds: float) -> list[Trial]:
    return [Trial(number, "complete", seconds=seconds) for number in range(count)]


def test_pods_are_metered_from_their_start_to_their_release(tmp_path: Path, clock: Clock) -> None:
    budget = Budget(tmp_path / "money.json", 1.0, clock=clock)
    budget.open("a", 0.36)
    clock.now += 1000
    budget.open("b", 0.72)
    budget.open("b", 9.0)  # metered already
    clock.now += 1000
    assert budget.spent() == pytest.approx(0.2 + 0.2)
    budget.close("a")
    clock.now += 1000
    assert budget.spent() == pytest.approx(0.2 + 0.4)
    assert budget.left() == pytest.approx(0.4)


def test_a_rented_pod_costs_while_the_laptop_is_off(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "money.json"
    before = Budget(path, 1.0, clock=clock)
    before.open("rented", 0.36, is_rented=True)
    before.open("own", 0.72)
    clock.now += 10_000
    after = Budget(path, 1.0, last_seen=2000.0, clock=clock)
    assert after.spent() == pytest.approx(1.0 + 0.2)


def test_one_trial_more_has_to_fit(tmp_path: Path, clock: Clock) -> None:
    budget = Budget(tmp_path / "money.json", 0.1, clock=clock)
    budget.open("a", 0.36)
    assert budget.refusal([]) is None  # nothing is known of a trial yet
    assert budget.refusal(done(3, seconds=900)) is None
    clock.now += 200
    assert "$0.02 of $0.10 are spent" in str(budget.refusal(done(3, seconds=900)))
    assert budget.refusal(done(3, seconds=700)) is None
    running = [Trial(9, "running")]
    assert budget.refusal([*done(3, seconds=700), *running]) is not None
    clock.now += 1000
    assert budget.refusal([]) is not None


def test_a_limit_needs_a_price(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the price of pod a is not known"):
        Budget(tmp_path / "money.json", 1.0).open("a", None)
    Budget(tmp_path / "money.json", None).open("a", None)


def test_a_damaged_meter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "money.json").write_text("{")
    with pytest.raises(ConfigError, match="what was spent is not known"):
        Budget(tmp_path / "money.json", 1.0)


@given(
    st.lists(st.floats(0.1, 10), min_size=1, max_size=8),
    st.floats(0.01, 100),
    st.floats(0, 10_000),
)
def test_pods_that_stop_themselves_keep_the_limit_without_the_laptop(
    prices: list[float], limit: float, used_s: float
) -> None:
    clock = Clock()
    budget = Budget(Path("/nowhere/money.json"), limit, clock=clock)
    setattr(budget, "_save", lambda: None)  # noqa: B010 - nothing is written here
    for index, price in enumerate(prices):
        budget.open(str(index), price)
    clock.now += used_s
    spent = budget.spent()
    ends = [budget.stop_at(price, len(prices)) for price in prices]
    later = sum(
        (end - clock.now) * price / 3600
        for end, price in zip(ends, prices, strict=True)
        if end is not None
    )
    assert spent + later <= max(limit, spent) + 1e-9
