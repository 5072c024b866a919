"""Forward passes of a trained model over windows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from moola_core.decoding.decode import Predictions, log_odds
from moola_core.features.tensors import Inputs
from moola_core.model.heads import Outputs
from moola_core.model.make import Model
from moola_core.spans.grid import blurred, coverage, label_posterior

EVALUATION_BATCH = 512


@torch.no_grad()
def predict(model: Model, inputs: Inputs) -> Predictions:
    """Return what the model says of windows, brought to the host."""
    model.eval()
    rows = torch.arange(len(inputs), device=inputs.features.device)
    parts = [inputs.take(some) for some in rows.split(EVALUATION_BATCH)]
    return gather(
        model, [merge_answers(model, forward_outputs(model, part), part) for part in parts]
    )


def forward_outputs(model: Model, inputs: Inputs) -> Outputs:
    """Return the model's outputs; if symmetric, their mean over the market and its mirror."""
    outputs = model(inputs.features, inputs.candidates)
    if not model.symmetric:
        return outputs
    if inputs.reflected is None:
        raise ValueError("expected reflected features for a symmetric model")
    mirrored = model(inputs.reflected, inputs.candidates)
    return {name: (output + mirrored[name]) / 2 for name, output in outputs.items()}


def merge_answers(model: Model, outputs: Outputs, inputs: Inputs) -> dict[str, Tensor]:
    """Return the fields of `Predictions` that the model has heads for, less derived ones."""
    none = torch.zeros(inputs.features.shape[:2])
    answers = {"start_logp": none, "stop_logp": none}
    if "segment_logits" in outputs:
        scores = outputs["segment_logits"]
        if "none_logits" in outputs:
            scores = torch.cat([scores, outputs["none_logits"][:, None]], dim=1)
        probs = torch.softmax(scores, dim=1)
        answers["segment_probs"] = probs[:, : outputs["segment_logits"].shape[1]]
        if "none_logits" in outputs:
            answers["none_probs"] = probs[:, -1]
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


def gather(model: Model, parts: list[dict[str, Tensor]]) -> Predictions:
    """Join the outputs of several batches, on the CPU."""
    tensors = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    viterbi, spans = tensors.pop("viterbi", None), tensors.pop("choice_spans", None)
    arrays = {name: tensor.numpy().astype(np.float64) for name, tensor in tensors.items()}
    if "segment_probs" in arrays:
        num_bars = arrays["start_logp"].shape[1]
        posterior = blurred(arrays.pop("segment_probs"), num_bars, model.end_noise)
        arrays["span_posterior"] = posterior
        arrays["span_logits"] = log_odds(coverage(posterior, num_bars))
    if spans is not None:
        num_bars = arrays["start_logp"].shape[1]
        probs = arrays.pop("choice_probs")
        posterior = label_posterior(probs, spans.numpy(), num_bars, model.end_noise)
        arrays["span_posterior"] = posterior
        arrays.setdefault("span_logits", log_odds(coverage(posterior, num_bars)))
    return Predictions(**arrays, viterbi=None if viterbi is None else viterbi.numpy().astype(bool))
