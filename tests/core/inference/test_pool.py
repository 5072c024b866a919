from __future__ import annotations

import numpy as np

from moola_core.decoding.decode import Predictions
from moola_core.inference.pool import (
    PoolWeights,
    better_alone,
    evidence_of,
    fit_pool,
    fit_weights,
    pool_predictions,
    pooled,
)
from moola_core.spans.grid import all_spans


def drawn(rng: np.random.Generator, probs: np.ndarray) -> np.ndarray:
    return np.array([rng.choice(len(row), p=row) for row in probs])


def test_an_expert_that_knows_gets_the_say(rng: np.random.Generator) -> None:
    good = rng.dirichlet(np.full(6, 0.3), size=3000)
    noise = rng.dirichlet(np.full(6, 0.3), size=3000)
    first, second = fit_weights([good, noise], drawn(rng, good))
    assert abs(first - 1.0) < 0.15
    assert second < 0.05
    first, second = fit_weights([noise, good], drawn(rng, good))
    assert second > 0.85


def test_few_windows_leave_the_better_expert_nearly_alone(rng: np.random.Generator) -> None:
    good = rng.dirichlet(np.full(6, 0.3), size=20)
    noise = rng.dirichlet(np.full(6, 0.3), size=20)
    truth = drawn(rng, good)
    assert better_alone([noise, good], truth) == [0.0, 1.0]
    assert better_alone([good, noise], truth) == [1.0, 0.0]
    first, second = fit_weights([noise, good], truth, 30.0, better_alone([noise, good], truth))
    assert first < 0.15
    assert 0.7 < second < 1.3


def said_of(posterior: np.ndarray, types: np.ndarray) -> Predictions:
    zeros = np.zeros((len(posterior), 20))
    return Predictions(zeros, zeros, zeros, type_probs=types, span_posterior=posterior)


def test_few_windows_leave_networks_a_little_and_types_to_whom_finds_the_spans(
    rng: np.random.Generator,
) -> None:
    spans = all_spans(20, 12)
    good, noise = (rng.dirichlet(np.full(len(spans), 0.05), size=20) for _ in range(2))
    truth = drawn(rng, good)
    # by chance the fold's types are against the one that finds its spans
    wrong, right = np.tile([0.6, 0.4], (20, 1)), np.tile([0.4, 0.6], (20, 1))
    types = np.ones(20, dtype=np.int64)
    networks, columns = said_of(noise, right), said_of(good, wrong)
    weights = fit_pool(networks, columns, spans[truth], types)
    assert 0.05 < weights.spans[0] < 0.15
    assert 0.7 < weights.spans[1] < 1.3
    assert weights.types[1] > weights.types[0]
    weights = fit_pool(columns, networks, spans[truth], types)
    assert 0.7 < weights.spans[0] < 1.3
    assert weights.spans[1] == 0.0
    assert weights.types[0] > weights.types[1]


def test_many_windows_say_themselves_what_networks_have_to_say(rng: np.random.Generator) -> None:
    spans = all_spans(20, 12)
    experts = [rng.dirichlet(np.full(len(spans), 0.05), size=4000) for _ in range(2)]
    truth = drawn(rng, pooled(experts, [0.4, 0.8]))
    types = rng.dirichlet(np.ones(2), size=4000)
    weights = fit_pool(
        said_of(experts[0], types),
        said_of(experts[1], np.full((4000, 2), 0.5)),
        spans[truth],
        drawn(rng, types),
    )
    assert abs(weights.spans[0] - 0.4) < 0.1
    assert abs(weights.spans[1] - 0.8) < 0.1
    assert weights.types[0] > 0.8


def test_weights_are_those_of_a_search_by_hand(rng: np.random.Generator) -> None:
    experts = [rng.dirichlet(np.full(5, 0.5), size=300) for _ in range(2)]
    truth = drawn(rng, pooled(experts, [0.7, 0.5]))
    found = fit_weights(experts, truth, prior=0.0)

    def likelihood(weights: list[float]) -> float:
        return float(np.log(pooled(experts, weights)[np.arange(300), truth]).sum())

    grid = np.linspace(0, 1.5, 16)
    best = max(likelihood([a, b]) for a in grid for b in grid)
    assert likelihood(found) >= best - 1e-6


def test_a_pool_sums_to_one_and_one_expert_stays(rng: np.random.Generator) -> None:
    first, second = (rng.dirichlet(np.full(9, 0.5), size=4) for _ in range(2))
    np.testing.assert_allclose(pooled([first, second], [0.8, 0.2]).sum(axis=1), 1.0)
    np.testing.assert_allclose(pooled([first, second], [1.0, 0.0]), first, atol=2e-3)


def test_networks_alone_are_asked_where_columns_have_no_say(rng: np.random.Generator) -> None:
    spans = all_spans(20, 12)
    said = Predictions(
        span_logits=np.zeros((3, 20)),
        start_logp=np.zeros((3, 20)),
        stop_logp=np.zeros((3, 20)),
        type_probs=rng.dirichlet(np.ones(2), size=3),
        span_posterior=rng.dirichlet(np.ones(len(spans)), size=3),
    )
    weights = PoolWeights((0.7, 0.0), (1.2, 0.0))
    assert not weights.asks_columns
    alone, both = pool_predictions(said, None, weights), pool_predictions(said, said, weights)
    first, second = alone.span_posterior, both.span_posterior
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(first, second)
    assert alone.type_probs is not None
    assert both.type_probs is not None
    np.testing.assert_allclose(alone.type_probs, both.type_probs)


def test_whether_there_is_a_span_networks_alone_say(rng: np.random.Generator) -> None:
    spans = all_spans(20, 12)
    some = rng.dirichlet(np.ones(len(spans)), size=3)
    none = np.array([0.0, 0.3, 0.9])
    zeros = np.zeros((3, 20))
    networks = Predictions(
        zeros, zeros, zeros, span_posterior=some * (1 - none[:, None]), none_probs=none
    )
    sure = Predictions(zeros, zeros, zeros, span_posterior=some)
    for columns in (None, sure):
        weights = PoolWeights((1.0, 0.4), (1.0, 0.0))
        pool = pool_predictions(networks, columns, weights)
        without = pool_predictions(sure, columns, weights).span_posterior
        assert pool.span_posterior is not None
        assert without is not None
        np.testing.assert_allclose(pool.span_posterior, without * (1 - none[:, None]))
        np.testing.assert_allclose(pool.span_posterior.sum(axis=1), 1 - none)
        assert pool.none_probs is none


def test_evidence_is_each_experts_part_of_the_logarithm(rng: np.random.Generator) -> None:
    spans = all_spans(20, 12)
    said = [
        Predictions(np.zeros((4, 20)), np.zeros((4, 20)), np.zeros((4, 20)), span_posterior=one)
        for one in rng.dirichlet(np.ones(len(spans)), size=(2, 4))
    ]
    weights = PoolWeights((0.7, 0.4), (1.0, 0.0))
    pool = pool_predictions(said[0], said[1], weights)
    found = np.array([[3, 9], [0, 2], [0, 0], [8, 20]])
    evidence = evidence_of(pool, found)
    assert evidence is not None
    assert np.isnan(evidence[2]).all()
    assert pool.span_posterior is not None
    place = {tuple(span): i for i, span in enumerate(spans.tolist())}
    first, second = place[3, 9], place[8, 20]
    # of two spans of one window the logarithms differ by what both experts say
    whole = np.log(pool.span_posterior[0, first] / pool.span_posterior[0, second])
    other = evidence_of(pool, np.tile([8, 20], (4, 1)))
    assert other is not None
    np.testing.assert_allclose((evidence[0] - other[0]).sum(), whole, rtol=1e-4)
    assert evidence_of(said[0], found) is None
