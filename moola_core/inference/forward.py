"""Forward passes of a trained model over windows."""

from __future__ import annotations

from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from moola_core.decoding.decode import Predictions, log_odds
from moola_core.features.tensors import Inputs
from moola_core.model.folded import FoldedUNet
from moola_core.model.heads import Outputs
from moola_core.model.make import Model
from moola_core.model.span_net import SpanNet
from moola_core.spans.grid import blurred, coverage, label_posterior
from moola_core.spans.segmentations import partition

EVALUATION_BATCH = 512
State: TypeAlias = tuple[tuple[int, int], ...]  # of each tensor where it is, and its changes
_folded: WeakKeyDictionary[SpanNet, tuple[tuple[Tensor, ...], State, FoldedUNet]] = (
    WeakKeyDictionary()
)


@torch.no_grad()
def predict(model: Model, inputs: Inputs) -> Predictions:
    """Return what the model says of windows, brought to the host.

    A `SpanNet` is asked in its folded form.

    Args:
        model: set to evaluation.
        inputs: of the windows.
    """
    evaluating(model)
    parts = [inputs]
    if len(inputs) > EVALUATION_BATCH:
        rows = torch.arange(len(inputs), device=inputs.features.device)
        parts = [inputs.take(some) for some in rows.split(EVALUATION_BATCH)]
    net = folded(model) if isinstance(model, SpanNet) else None
    said = [merge_answers(model, forward_outputs(model, part, net), part) for part in parts]
    return gather(model, said)


def evaluating(model: Model) -> Model:
    """Return `model` set to evaluation; to set what is so already costs as much as a layer."""
    return model.eval() if model.training else model


def folded(model: SpanNet) -> FoldedUNet:
    """Return the model's network in fewer operations; made again where its weights changed."""
    known = _folded.get(model)
    if known is None or _state(known[0]) != known[1]:
        # a move to another device gives buffers anew, and parameters another place
        weights = (*model.net.parameters(), *model.net.buffers())
        known = _folded[model] = weights, _state(weights), FoldedUNet(model.net)
    return known[2]


def _state(weights: tuple[Tensor, ...]) -> State:
    return tuple((one.data_ptr(), one._version) for one in weights)


def forward_outputs(model: Model, inputs: Inputs, net: FoldedUNet | None = None) -> Outputs:
    """Return the model's outputs; if symmetric, their mean over the market and its mirror.

    Args:
        model: to be asked.
        inputs: of the windows.
        net: in place of a SpanNet's own network.

    Raises:
        ValueError: a symmetric model, and no reflected features.
    """

    def ask(features: Tensor) -> Outputs:
        if net is not None and isinstance(model, SpanNet):
            return model.outputs_of(net(features.transpose(1, 2)))
        outputs: Outputs = model(features, inputs.candidates)
        return outputs

    outputs = ask(inputs.features)
    if not model.symmetric:
        return outputs
    if inputs.reflected is None:
        raise ValueError("expected reflected features for a symmetric model")
    mirrored = ask(inputs.reflected)
    return {name: (output + mirrored[name]) / 2 for name, output in outputs.items()}


def merge_answers(model: Model, outputs: Outputs, inputs: Inputs) -> dict[str, Tensor]:
    """Return the fields of `Predictions` that the model has heads for, less derived ones.

    Each has B rows, one per window; its shape is that of the field.
    """
    none = torch.zeros(inputs.features.shape[:2])
    answers = {"start_logp": none, "stop_logp": none}
    if "segment_logits" in outputs:
        answers |= _of_sets(outputs) if "type_bars" in outputs else _of_spans(outputs)
    elif "span_logits" in outputs or model.crf is not None:
        answers["span_logits"] = model.span_logits(outputs)
    if "start_logits" in outputs:
        answers["start_logp"] = torch.log_softmax(outputs["start_logits"], dim=1)
        answers["stop_logp"] = torch.log_softmax(outputs["stop_logits"], dim=1)
    if "type_logits" in outputs:
        answers["type_probs"] = torch.softmax(outputs["type_logits"], dim=1)
    if model.crf is not None:
        answers["viterbi"] = model.crf.best_path(outputs["emissions"])
    if "choice_logits" in outputs and inputs.candidates is not None:
        answers["choice_probs"] = torch.softmax(outputs["choice_logits"].double(), dim=1)
        answers["choice_spans"] = inputs.candidates.spans
    if "context_logits" in outputs:
        # the shape is now (B, C): the mean over candidates
        each = torch.softmax(outputs["context_logits"].double(), dim=2)
        answers["type_probs"] = (answers["choice_probs"][..., None] * each).sum(dim=1)
    return answers


def _of_spans(outputs: Outputs) -> dict[str, Tensor]:
    """Return the probability of each span, and of none where that is an outcome."""
    scores, none = outputs["segment_logits"], outputs.get("none_logits")
    if none is None:
        return {"segment_probs": torch.softmax(scores, dim=1)}
    probs = torch.softmax(torch.cat([scores, none[:, None]], dim=1), dim=1)
    return {"segment_probs": probs[:, : scores.shape[1]], "none_probs": probs[:, -1]}


def _of_sets(outputs: Outputs) -> dict[str, Tensor]:
    """Return the same of a model of several spans: of each how probably it is one of them."""
    scores = outputs["segment_logits"]
    total, probs = partition(scores.cpu().numpy(), outputs["span_logits"].shape[1])
    return {
        "segment_probs": torch.from_numpy(probs),
        "none_probs": torch.from_numpy(np.exp(-total)),
        "type_bars": outputs["type_bars"],
    }


def gather(model: Model, parts: list[dict[str, Tensor]]) -> Predictions:
    """Join the outputs of several batches, on the CPU."""
    tensors = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    viterbi, spans = tensors.pop("viterbi", None), tensors.pop("choice_spans", None)
    runs = tensors.pop("segment_probs", None)
    arrays: dict[str, Any] = {k: v.numpy().astype(np.float64) for k, v in tensors.items()}
    if runs is not None:
        num_bars = arrays["start_logp"].shape[1]
        posterior = blurred(runs.numpy(), num_bars, model.end_noise)
        arrays["span_posterior"] = posterior
        arrays["span_logits"] = log_odds(coverage(posterior, num_bars))
    if spans is not None:
        num_bars = arrays["start_logp"].shape[1]
        probs = arrays.pop("choice_probs")
        posterior = label_posterior(probs, spans.numpy(), num_bars, model.end_noise)
        arrays["span_posterior"] = posterior
        arrays.setdefault("span_logits", log_odds(coverage(posterior, num_bars)))
    return Predictions(**arrays, viterbi=None if viterbi is None else viterbi.numpy().astype(bool))
