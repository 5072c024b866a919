"""Networks and columns as one answer: a product of powers of what each says.

A logarithmic opinion pool (Genest & Zidek 1986, Statistical Science 1): ``p(s) ~ prod_e p_e(s) ^
w_e``. The weights maximise the likelihood of labels that neither expert was taught. Letters: E
experts, B windows, S spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moola_core.decoding.decode import Predictions, log_odds
from moola_core.spans.grid import TINY, coverage, longest_of, span_index, widened
from moola_core.spans.intervals import FloatArray, IntArray

DOUBT = 1e-3  # of every expert's answer is spread over all spans
PULL = 30.0  # the precision with which the better expert's weight is pulled to 1
FIRM = 1000.0  # and the other's to what is usual: few windows can't tell 0 from 0.2
LEAST = 0.1  # what networks usually have to say where columns are the better
SMALL = 0.1  # of columns a weight below is 0: they are not asked


@dataclass(frozen=True)
class PoolWeights:
    """The say of networks and of columns: powers of their probabilities."""

    spans: tuple[float, float]
    types: tuple[float, float]

    @property
    def asks_columns(self) -> bool:
        """Whether columns have any say."""
        return self.spans[1] > 0 or self.types[1] > 0

    @property
    def leads_columns(self) -> bool:
        """Whether columns have more to say of spans than networks."""
        return self.spans[1] > self.spans[0]


def fit_weights(
    experts: Sequence[FloatArray],
    truth: IntArray,
    prior: float | Sequence[float] = 1.0,
    usual: Sequence[float] | None = None,
) -> list[float]:
    """Return the powers, each at least 0, that make `truth` likeliest.

    Args:
        experts: ``(B, S)`` each, rows sum to 1.
        truth: ``(B,)``, the index of what is true.
        prior: the precision of a normal pull to `usual`, of all weights or of each.
        usual: weights; None: the mean of the experts' logarithms.
    """
    # Only a recipe with columns fits weights; a process that answers is half a second quicker.
    from scipy.optimize import minimize

    logs = np.stack([np.log(doubted(one)) for one in experts])
    rows = np.arange(len(truth))
    even = np.full(len(experts), 1 / len(experts)) if usual is None else np.asarray(usual)
    pull = np.broadcast_to(np.asarray(prior, dtype=np.float64), even.shape)

    def cost(weights: FloatArray) -> tuple[float, FloatArray]:
        scores = np.tensordot(weights, logs, axes=1)
        top = scores.max(axis=1, keepdims=True)
        mass = np.exp(scores - top)
        total = mass.sum(axis=1)
        nll = np.log(total) + top[:, 0] - scores[rows, truth]
        expected = np.einsum("ebs,bs->eb", logs, mass) / total
        slope = (expected - logs[:, rows, truth]).sum(axis=1)
        gap = weights - even
        return float(nll.sum() + (pull * gap**2).sum() / 2), slope + pull * gap

    found = minimize(cost, even, jac=True, method="L-BFGS-B", bounds=[(0.0, 5.0)] * len(experts))
    return [float(weight) for weight in found.x]


def better_alone(experts: Sequence[FloatArray], truth: IntArray) -> list[float]:
    """Return the power 1 for the expert under which `truth` is likeliest, 0 for the others.

    Args:
        experts: of each the probability ``(B, S)`` of every span.
        truth: ``(B,)``, the number of the true span.
    """
    rows = np.arange(len(truth))
    likelihood = [float(np.log(doubted(one))[rows, truth].sum()) for one in experts]
    best = int(np.argmax(likelihood))
    return [float(number == best) for number in range(len(experts))]


def pooled(experts: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """``(B, S)`` from the same of each expert; one of power 0 changes nothing."""
    scores = np.zeros(experts[0].shape)
    for one, w in zip(experts, weights, strict=True):
        if w > 0.0:
            said = doubted(one)
            scores += np.multiply(np.log(said, out=said), w, out=said)
    # in place: the cache holds few tables of all spans
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def doubted(probs: FloatArray) -> FloatArray:
    """`probs` ``(B, S)`` with `DOUBT` of it spread over all, so that no logarithm is infinite."""
    return _doubted(probs, probs.shape[1])


def _doubted(probs: FloatArray, number: int) -> FloatArray:
    said = (1 - DOUBT) * probs
    said += DOUBT / number
    return said


def fit_pool(
    networks: Predictions, columns: Predictions, spans: IntArray, types: IntArray
) -> PoolWeights:
    """Return the weights of the two, from what they said of windows that taught neither of them.

    The one under which the spans are likelier starts with a weight of 1, for types too: a fold is
    often too small to say more.
    """
    said = _posteriors(networks, columns)
    num_bars = networks.span_logits.shape[1]
    longest = longest_of(said[0].shape[1], num_bars)
    place = span_index(spans, num_bars, longest)
    better = better_alone(said, place)
    pull = [PULL if one else FIRM for one in better]
    by_span = fit_weights(said, place, pull, [max(better[0], LEAST), better[1]])
    by_type = [1.0, 0.0]
    if networks.type_probs is not None and columns.type_probs is not None:
        by_type = fit_weights([networks.type_probs, columns.type_probs], types, PULL, better)
    return PoolWeights(_asked(by_span), _asked(by_type))


def _asked(weights: Sequence[float]) -> tuple[float, float]:
    """Return the weights without a small one of columns, which cost time."""
    return weights[0], weights[1] if weights[1] >= SMALL else 0.0


def stacked(parts: Sequence[Predictions]) -> Predictions:
    """Return what was said of some windows and of some others, as of all of them."""

    def join(name: str) -> FloatArray | None:
        arrays = [getattr(part, name) for part in parts]
        return None if any(one is None for one in arrays) else np.concatenate(arrays)

    names = (
        *("span_logits", "start_logp", "stop_logp", "type_probs", "span_posterior", "none_probs"),
        *("network_probs", "column_probs", "type_bars"),
    )
    joined: dict[str, Any] = {name: join(name) for name in names}
    return Predictions(**joined, powers=parts[0].powers)


def pool_predictions(
    networks: Predictions, columns: Predictions | None, weights: PoolWeights
) -> Predictions:
    """One answer of both, or of networks alone where columns have no say.

    Whether there is a span at all networks alone say.

    Raises:
        ValueError: networks give no probability for every span.
    """
    types = networks.type_probs
    experts: list[FloatArray | None] = [None, None]
    if columns is None:
        if networks.span_posterior is None:
            raise ValueError("expected the probability of every span")
        posterior = pooled([_if_any(networks)], weights.spans[:1])
        types = None if types is None else pooled([types], weights.types[:1])
    else:
        said = _posteriors(networks, columns)
        posterior, experts = pooled(said, weights.spans), [*said]
        if types is not None and columns.type_probs is not None:
            types = pooled([types, columns.type_probs], weights.types)
    num_bars = networks.span_logits.shape[1]
    if networks.none_probs is not None:
        posterior *= 1 - networks.none_probs[:, None]
    return Predictions(
        span_logits=log_odds(coverage(posterior, num_bars)),
        start_logp=networks.start_logp,
        stop_logp=networks.stop_logp,
        type_probs=types,
        span_posterior=posterior,
        none_probs=networks.none_probs,
        network_probs=experts[0],
        column_probs=experts[1],
        powers=None if columns is None else weights.spans,
    )


def evidence_of(predictions: Predictions, spans: IntArray) -> FloatArray | None:
    """``(B, 2)``: what networks and columns say for the found spans ``(B, 2)``, in nats.

    The weight of evidence (Good 1950, Probability and the Weighing of Evidence) against a span that
    was drawn blindly; NaN where no span was found, None where there is one expert alone.
    """
    said, powers = (predictions.network_probs, predictions.column_probs), predictions.powers
    if said[0] is None or said[1] is None or powers is None:
        return None
    num_bars = predictions.span_logits.shape[1]
    place = span_index(spans, num_bars, longest_of(said[0].shape[1], num_bars))
    rows = np.arange(len(spans))
    both = [
        _evidence(one[rows, place], one.shape[1], power)
        for one, power in zip(said, powers, strict=True)
        if one is not None
    ]
    is_found = (spans[:, 1] > spans[:, 0])[:, None]
    return np.where(is_found, np.stack(both, axis=1), np.nan).astype(np.float64)


def _evidence(probs: FloatArray, num_spans: int, power: float) -> FloatArray:
    """``(B,)`` float32, of probabilities ``(B,)`` and their power."""
    if power == 0.0:
        return np.zeros(probs.shape, dtype=np.float32)
    return (power * np.log(_doubted(probs, num_spans) * num_spans)).astype(np.float32)


def _posteriors(networks: Predictions, columns: Predictions) -> list[FloatArray]:
    if networks.span_posterior is None or columns.span_posterior is None:
        raise ValueError("expected the probability of every span, of both")
    num_bars = networks.span_logits.shape[1]
    longest = longest_of(networks.span_posterior.shape[1], num_bars)
    return [_if_any(networks), widened(columns.span_posterior, num_bars, longest)]


def _if_any(networks: Predictions) -> FloatArray:
    """``(B, S)``: the probability of each span if there is one; columns know of no other case."""
    assert networks.span_posterior is not None
    if networks.none_probs is None:
        return networks.span_posterior
    mass = networks.span_posterior.sum(axis=1, keepdims=True)
    return networks.span_posterior / np.maximum(mass, TINY)
