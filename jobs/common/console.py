"""What a job prints."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jobs.common.fitting import Loaded
from jobs.common.run_event import run_event
from moola_core.config.sections import DecoderConfig
from moola_core.decoding.decode import Decoded, Predictions
from moola_core.evaluation.matching import sums_of_sets
from moola_core.evaluation.metrics import Score, Truth
from moola_core.inference.pool import evidence_of


def print_header(loaded: Loaded) -> None:
    """Print what is about to be trained, and the header of the epoch table."""
    event = run_event(loaded)
    windows = event["windows"]
    print(
        f"recipe {event['recipe']} | {event['device']} | seed {event['seed']}"
        f" | {event['num_parameters']:,} parameters | {event['num_features']} features"
        f" | windows: {windows['train']} train, {windows['validation']} validation"
    )
    losses = " ".join(f"{task:>9}" for task in event["tasks"])
    scores = f"{'F1':>5} {'in':>6} {'out':>6} {'s':>5}"
    print(f"{'epoch':>7} {'train':>9} {'val':>9} | {losses} | {scores}", flush=True)


def epoch_line(entry: dict[str, Any]) -> str:
    """One line of the epoch table: both totals, each task's raw loss on validation, scores.

    Without validation the raw losses are those of training.
    """
    judged = entry["validation"] or entry["train"]
    losses = [value for name, value in judged.items() if name != "total"]
    scores = (("f1", 5), ("in_span", 6), ("out_span", 6))
    return (
        f"{entry['epoch']:>3}/{entry['epochs']:<3} {entry['train']['total']:9.4f}"
        f" {_cell(entry['validation'], 'total', '9.4f')}"
        f" | {' '.join(f'{value:9.4f}' for value in losses)}"
        f" | {' '.join(_cell(entry['scores'], name, f'{width}.3f') for name, width in scores)}"
        f" {entry['seconds']:5.2f}"
    )


def _cell(table: dict[str, float], name: str, form: str) -> str:
    """Return a number, or a dash as wide where there is none, as all windows train."""
    return f"{table[name]:{form}}" if name in table else f"{'-':>{form.partition('.')[0]}}"


def print_sigmas(result: dict[str, Any]) -> None:
    """Print the seed's table: sigma, precision and share of each task, also of the gradient."""
    print(f"\n{'task':>12} {'sigma':>7} {'1/sigma2':>9} {'share':>6} {'gradient':>8}")
    for task, sigma in result["sigma"].items():
        pull = result["gradient_share"].get(task)
        known = "-" if pull is None else f"{pull:.0%}"
        line = f"{task:>12} {sigma:7.3f} {sigma**-2:9.3f} {result['share'][task]:6.0%}"
        print(f"{line} {known:>8}")


def decoder_text(decoder: DecoderConfig) -> str:
    """Return the decoder with what was chosen for it."""
    chosen = {
        "threshold": f" {decoder.threshold:g}",
        "best_span": f", bias {decoder.bias:g}",
        "viterbi": "",
        "expected_iou": "",
        "disjoint": f", gain {decoder.least_gain:g}",
    }
    return decoder.kind + chosen[decoder.kind]


def print_beside(chance: Score, predictions: Predictions, decoded: Decoded, truth: Truth) -> None:
    """Print what types score by chance, how many spans are hits, which evidence carried them."""
    _print_counts(decoded, truth)
    if not math.isnan(chance.value):
        interval = f"[{chance.low:.3f}, {chance.high:.3f}]"
        print(f"type_f1 of the same answers by chance: {chance.value:.3f}  {interval}")
    evidence = evidence_of(predictions, decoded.spans)
    if evidence is None:
        return
    known = evidence[np.isfinite(evidence).all(axis=1)]
    carried = int((known[:, 1] > known[:, 0]).sum())
    networks, columns = known.mean(axis=0) if len(known) else (0.0, 0.0)
    print(
        f"evidence for the found spans: columns carried {carried} of {len(known)}"
        f" ({columns:.1f} nats a window), networks the others ({networks:.1f} nats)"
    )


def _print_counts(decoded: Decoded, truth: Truth) -> None:
    """Print how many spans are true, were found and were hit, where windows may hold several."""
    if decoded.sets is None:
        return
    sums = {name: int(part.sum()) for name, part in sums_of_sets(decoded, truth.sets[0]).items()}
    print(
        f"spans: {sums['one']:,} true, {sums['said_spans']:,} found,"
        f" {sums['iou50']:,} of them hits (IoU >= 0.5, one to one)"
    )


def print_scores(scores: dict[str, Score], rules: dict[str, dict[str, Score]]) -> None:
    """In-span and out-of-span means, every score with its interval, and the rules to beat."""
    print(
        f"span probability: in-span mean {scores['in_span'].value:.3f},"
        f" out-of-span mean {scores['out_span'].value:.3f}"
    )
    print(f"{'score':>20} {'value':>7}  95% interval over spans")
    for name, one in scores.items():
        known = f"{one.value:7.3f}  [{one.low:.3f}, {one.high:.3f}]"
        print(f"{name:>20} {'      -' if math.isnan(one.value) else known}")
    for name, rule in rules.items():
        f1, iou50 = rule["f1"].value, rule["iou50"].value
        print(f"rule {name}: f1 {f1:.3f}, iou50 {iou50:.3f}")
