"""Many tasks, one number: uncertainty weighting, the same for training and for validation.

Kendall, Gal & Cipolla (2018), CVPR, eq. 7-10: each task's loss over twice the square of a learnt
sigma, plus log sigma. Letters: B windows, K tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from moola_core.config.sections import LossConfig
from moola_core.features.tensors import WindowTensors
from moola_core.losses import functional, segment, several
from moola_core.model.heads import Outputs
from moola_core.model.make import Model
from moola_core.model.span_net import SpanNet


@dataclass(frozen=True)
class Judged:
    """What a batch costs.

    Attributes:
        total: ``()``, what is minimised.
        raw: ``(K,)``, each task's own loss, weighed by window but not by task.
        weighted: ``(K,)``, each task's share of `total`, without its log-sigma.
    """

    total: Tensor
    raw: Tensor
    weighted: Tensor


class Criterion:
    """Judges a model's outputs by its tasks' losses.

    Args:
        model: gives the tasks, their log-sigmas and, where it has one, the CRF.
        tasks: the names, in the order of ``model.log_sigma``.
        config: the losses' settings.
    """

    def __init__(self, model: Model, tasks: tuple[str, ...], config: LossConfig) -> None:
        self.model = model
        self.tasks = tasks
        self.config = config
        self._losses = [LOSSES[task] for task in tasks]

    def __call__(self, outputs: Outputs, batch: WindowTensors) -> Judged:
        """Judge one batch; `outputs` are the model's for ``batch.features``."""
        each = [loss(self, outputs, batch) for loss in self._losses]
        # the shape is now (K, B), then weighed to (K,)
        raw = (torch.stack(each) * batch.weight).mean(dim=1)
        log_sigma = self.model.log_sigma
        weighted = torch.exp(-2.0 * log_sigma) / 2.0 * raw
        return Judged((weighted + log_sigma).sum(), raw, weighted)

    def sigma(self) -> dict[str, float]:
        """Return the learnt noise of each task."""
        return self._named(torch.exp(self.model.log_sigma))

    def precision(self) -> dict[str, float]:
        """1 / sigma² of each task."""
        return self._named(torch.exp(-2.0 * self.model.log_sigma))

    def share(self) -> dict[str, float]:
        """Return each task's precision over the sum of precisions."""
        return self._named(torch.softmax(-2.0 * self.model.log_sigma, dim=0))

    def gradient_share(self, judged: Judged, outputs: Outputs) -> dict[str, float]:
        """Return each task's share of the pull on the encoder.

        The norm of its weighted loss's gradient at the encoder's states, over the sum of norms.
        Leaves the graph and every ``.grad`` as they are.
        """
        states = outputs["states"]
        if not states.requires_grad:  # no encoder to pull on
            return {}
        norms = [
            torch.autograd.grad(
                loss, states, retain_graph=True, allow_unused=True, materialize_grads=True
            )[0].norm()
            for loss in judged.weighted
        ]
        norm = torch.stack(norms)
        return self._named(norm / norm.sum())

    def _named(self, values: Tensor) -> dict[str, float]:
        return dict(zip(self.tasks, values.detach().cpu().tolist(), strict=True))


def _pointer(self: Criterion, outputs: Outputs, batch: WindowTensors) -> Tensor:
    return functional.pointer_loss(
        outputs["pointer"], batch.pointer, delta=self.config.pointer_delta
    )


def _type(self: Criterion, outputs: Outputs, batch: WindowTensors) -> Tensor:
    del self
    if batch.sets is not None and batch.set_types is not None:
        return several.span_type_loss(outputs["type_bars"], batch.sets, batch.set_types)
    return functional.type_loss(outputs["type_logits"], batch.types)


def _span(self: Criterion, outputs: Outputs, batch: WindowTensors) -> Tensor:
    if self.model.crf is not None:
        return self.model.crf.nll_per_bar(outputs["emissions"], batch.tags)
    form = {"logits": functional.soft_span_loss, "probability": functional.probability_span_loss}
    loss = form[self.config.span]
    return loss(outputs["span_logits"], batch.span, pos_weight=self.config.pos_weight)


def _countdown(self: Criterion, outputs: Outputs, batch: WindowTensors) -> Tensor:
    delta = self.config.countdown_delta
    return functional.countdown_loss(outputs["countdown"], batch.countdown, delta=delta)


def _edges(self: Criterion, outputs: Outputs, batch: WindowTensors) -> Tensor:
    del self
    start, stop = outputs["start_logits"], outputs["stop_logits"]
    return functional.edges_loss(start, stop, batch.start_row, batch.stop_row)


def _choice(self: Criterion, outputs: Outputs, batch: WindowTensors) -> Tensor:
    share = self.config.choice_soft_share
    loss = functional.choice_loss(outputs["choice_logits"], _likelihood(batch), soft_share=share)
    loss = loss * batch.tags.any(dim=1)  # there is nothing to choose where no span is
    return loss + _ridge(self, "choice_head")


def _context_type(self: Criterion, outputs: Outputs, batch: WindowTensors) -> Tensor:
    loss = functional.context_type_loss(outputs["context_logits"], _likelihood(batch), batch.types)
    return loss + _ridge(self, "context_type_head")


def _segment(self: Criterion, outputs: Outputs, batch: WindowTensors) -> Tensor:
    if not isinstance(self.model, SpanNet):
        raise TypeError("expected a SpanNet for the task segment")
    scores, tags, none = outputs["segment_logits"], batch.tags, outputs.get("none_logits")
    known = self.model.max_length, self.model.end_noise
    if batch.sets is not None:
        loss = several.several_loss(scores, batch.sets, tags.shape[1], *known)
    else:
        loss = segment.segment_loss(scores, tags, *known, none)
    return loss + self.config.bar_share * segment.bar_loss(outputs["span_logits"], tags)


def _ridge(self: Criterion, head: str) -> Tensor:
    """``()``: on a head's weights on columns; in its loss, so that no sigma moves the balance."""
    weight = self.model.span_heads[head].get_parameter("linear.weight")
    return self.config.ridge * weight.square().sum()


def _likelihood(batch: WindowTensors) -> Tensor:
    if batch.likelihood is None:
        raise ValueError("expected windows with candidates for the tasks choice and context_type")
    return batch.likelihood


LOSSES: dict[str, Callable[[Criterion, Outputs, WindowTensors], Tensor]] = {
    "pointer": _pointer,
    "type": _type,
    "span": _span,
    "countdown": _countdown,
    "edges": _edges,
    "choice": _choice,
    "context_type": _context_type,
    "segment": _segment,
}
