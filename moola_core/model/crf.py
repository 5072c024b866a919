"""A linear-chain CRF over bars: pytorch-crf's parameters, a parallel normaliser and decoder.

Lafferty, McCallum & Pereira (2001), ICML. Letters: B windows, T bars, K tags (0 outside, 1 inside).
pytorch-crf walks the bars one by one in Python; here the normaliser is a product of T-1 matrices in
the (logsumexp, +) semiring, taken pairwise in log2(T) steps: the same number, checked against it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchcrf import CRF


class SpanCrf(CRF):  # type: ignore[misc]
    """`torchcrf.CRF`, batch first, with a loss per bar and marginals."""

    def __init__(self, num_tags: int = 2) -> None:
        super().__init__(num_tags, batch_first=True)

    def nll_per_bar(self, emissions: Tensor, tags: Tensor) -> Tensor:
        """Negative log-likelihood of the tags.

        Args:
            emissions: ``(B, T, K)`` float scores.
            tags: ``(B, T)`` int64 in 0..K-1.

        Returns:
            ``(B,)`` float, nats a bar.

        Raises:
            ValueError: the shapes do not match.
        """
        if emissions.shape[:2] != tags.shape:
            shapes = f"{tuple(emissions.shape)} and {tuple(tags.shape)}"
            raise ValueError(f"expected emissions (B, T, K) and tags (B, T), got {shapes}")
        return (self.log_partition(emissions) - self._path_score(emissions, tags)) / tags.shape[1]

    def log_partition(self, emissions: Tensor) -> Tensor:
        """``(B,)``: log of the sum over all paths of exp(score); `emissions` is ``(B, T, K)``."""
        first = self.start_transitions + emissions[:, 0]
        last = self.end_transitions.expand_as(first)
        if emissions.shape[1] == 1:
            return torch.logsumexp(first + last, dim=1)
        # the shape is now (B, T - 1, K, K), from the tag before to the tag here
        steps = self.transitions + emissions[:, 1:, None, :]
        while steps.shape[1] > 1:
            odd = steps[:, -1:] if steps.shape[1] % 2 else steps[:, :0]
            left, right = steps[:, 0:-1:2], steps[:, 1::2]
            product = torch.logsumexp(left[..., None] + right[..., None, :, :], dim=-2)
            steps = torch.cat([product, odd], dim=1)
        paths = first[:, :, None] + steps[:, 0] + last[:, None, :]
        return torch.logsumexp(paths.flatten(1), dim=1)

    def marginals(self, emissions: Tensor) -> Tensor:
        """``(B, T, K)``: probability of each tag at each bar, the gradient of the log-partition."""
        with torch.enable_grad():
            leaf = emissions.detach().requires_grad_()
            (grad,) = torch.autograd.grad(self.log_partition(leaf).sum(), leaf)
        return grad

    def best_path(self, emissions: Tensor) -> Tensor:
        """``(B, T)`` int64: the tags of the highest path (Viterbi 1967), a batch at once.

        The same as `torchcrf.CRF.decode`, which goes back through each window by itself.
        """
        score = self.start_transitions + emissions[:, 0]
        origins = []
        for here in emissions.unbind(dim=1)[1:]:
            # the shape is now (B, K), the best of (B, K, K) over the tag before
            best, origin = (score[:, :, None] + self.transitions).max(dim=1)
            score = best + here
            origins.append(origin)
        path = [(score + self.end_transitions).argmax(dim=1, keepdim=True)]
        for origin in reversed(origins):
            path.append(origin.gather(1, path[-1]))
        return torch.cat(path[::-1], dim=1)

    def _path_score(self, emissions: Tensor, tags: Tensor) -> Tensor:
        unary = emissions.gather(2, tags[..., None])[..., 0].sum(dim=1)
        pairs = self.transitions[tags[:, :-1], tags[:, 1:]].sum(dim=1)
        ends = self.start_transitions[tags[:, 0]] + self.end_transitions[tags[:, -1]]
        return unary + pairs + ends
