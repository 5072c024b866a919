"""The CRF against the enumeration of all paths, and against pytorch-crf."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from moola_core.model.crf import SpanCrf
from tests.support.tensors import assert_close


@pytest.fixture
def crf() -> SpanCrf:
    torch.manual_seed(0)
    crf = SpanCrf(num_tags=3)
    crf.double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


def _scores(crf: SpanCrf, emissions: Tensor, paths: Tensor) -> Tensor:
    """The score of each of the paths (P, T), bar by bar."""
    scores: Tensor = crf.start_transitions[paths[:, 0]] + crf.end_transitions[paths[:, -1]]
    for t, tags in enumerate(paths.T):
        scores = scores + emissions[t, tags]
    for before, after in itertools.pairwise(paths.T):
        scores = scores + crf.transitions[before, after]
    return scores


@pytest.mark.parametrize("num_bars", [1, 2, 3, 4, 5, 7])
def test_loss_marginals_and_best_path_equal_the_enumeration(crf: SpanCrf, num_bars: int) -> None:
    emissions = torch.randn(2, num_bars, 3, dtype=torch.float64)
    paths = torch.tensor(list(itertools.product(range(3), repeat=num_bars)))
    tags = paths[[0, -1]]
    for b in range(2):
        scores = _scores(crf, emissions[b], paths)
        partition = torch.logsumexp(scores, dim=0)
        loss = (partition - _scores(crf, emissions[b], tags[b : b + 1])[0]) / num_bars
        assert_close(crf.nll_per_bar(emissions, tags)[b], loss)
        probs = torch.softmax(scores, dim=0)
        marginal = torch.zeros(num_bars, 3, dtype=torch.float64)
        for tag in range(3):
            marginal[:, tag] = (probs.detach()[:, None] * (paths == tag)).sum(dim=0)
        assert_close(crf.marginals(emissions)[b], marginal)
        assert crf.best_path(emissions)[b].tolist() == paths[scores.argmax()].tolist()


def test_loss_and_its_gradient_equal_those_of_pytorch_crf(crf: SpanCrf) -> None:
    emissions = torch.randn(4, 105, 3, dtype=torch.float64, requires_grad=True)
    tags = torch.randint(0, 3, (4, 105))
    mask = torch.ones(4, 105, dtype=torch.bool)
    parameters = [emissions, *crf.parameters()]
    ours = crf.nll_per_bar(emissions, tags).sum()
    theirs = -crf(emissions, tags, mask=mask, reduction="sum") / 105
    assert_close(ours, theirs)
    for mine, other in zip(
        torch.autograd.grad(ours, parameters), torch.autograd.grad(theirs, parameters), strict=True
    ):
        assert_close(mine, other)


def test_marginals_are_probabilities_and_keep_the_graph_out(crf: SpanCrf) -> None:
    with torch.no_grad():
        marginals = crf.marginals(torch.randn(3, 105, 3, dtype=torch.float64))
    assert not marginals.requires_grad
    assert_close(marginals.sum(dim=2), torch.ones(3, 105, dtype=torch.float64))


def test_shapes_that_differ_are_refused(crf: SpanCrf) -> None:
    with pytest.raises(ValueError, match=r"got \(2, 5, 3\) and \(2, 4\)"):
        crf.nll_per_bar(torch.zeros(2, 5, 3).double(), torch.zeros(2, 4, dtype=torch.int64))
