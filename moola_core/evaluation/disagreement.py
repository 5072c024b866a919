"""How far what else is known of a window contradicts its label: overlapping windows, a model.

Letters: B windows, T bars a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moola_core.data.windows import Windows
from moola_core.evaluation.label_noise import Finding
from moola_core.spans.intervals import span_iou

MODEL = "model"


@dataclass(frozen=True)
class Claim:
    """What somebody else says of a window.

    Attributes:
        by: the other window's id, or the model's name.
        kind: that of the finding, or ``model``.
        start, stop: half-open, in bars of the window that it is a claim about; of another window's
            span a part may lie outside.
        label: its word; empty where none is said.
        weight: 0..1, how much it counts against the label if it is right.
        confidence: of a model; None of a window.
    """

    by: str
    kind: str
    start: int
    stop: int
    label: str
    weight: float
    confidence: float | None = None


def claims_of_windows(windows: Windows, findings: Sequence[Finding]) -> list[list[Claim]]:
    """Return for each window what the findings say of it, the heaviest first.

    A contradiction is listed at both of its windows; of another run only where that run is whole in
    sight. It weighs 1 where the other window labels another run or another type, 1 - IoU of the
    bars that both show where the ends differ, and the hidden share of a span that the window's edge
    clips. Near duplicates weigh nothing.
    """
    claims: list[list[Claim]] = [[] for _ in range(len(windows))]
    for one in findings:
        if one.other < 0:
            claims[one.row].append(_clipped(windows, one))
            continue
        weight = _weight(windows, one)
        for row, other, shift in (
            (one.row, one.other, one.shift),
            (one.other, one.row, -one.shift),
        ):
            claim = _of(windows, one, other, shift, weight)
            is_seen = claim.start >= 0 and claim.stop <= windows.bars.shape[1]
            if is_seen or one.kind != "other_run":
                claims[row].append(claim)
    return [sorted(some, key=lambda claim: -claim.weight) for some in claims]


def claim_of_model(
    label: tuple[int, int, str], said: tuple[int, int, str], confidence: float, sure_of_type: float
) -> Claim:
    """Return what a model says of a window: `label` is its span and word, `said` the model's."""
    start, stop, word = label
    iou = float(span_iou(np.array([[start, stop]]), np.array([said[:2]]))[0])
    weight = confidence * (1 - iou)
    if said[2] and said[2] != word:
        weight = max(weight, sure_of_type)
    return Claim(MODEL, MODEL, said[0], said[1], said[2], weight, confidence)


def disagreement(claims: Sequence[Claim]) -> float:
    """Return how far a window's label is contradicted: 0 (not at all) to 1."""
    return max((claim.weight for claim in claims), default=0.0)


def _of(windows: Windows, finding: Finding, other: int, shift: int, weight: float) -> Claim:
    start, stop = (windows.spans[other] + shift).tolist()
    word = windows.labels[windows.types[other]]
    return Claim(str(windows.window_id[other]), finding.kind, start, stop, word, weight)


def _clipped(windows: Windows, finding: Finding) -> Claim:
    start, stop = windows.spans[finding.row].tolist()
    # The hidden bars lie behind the edge that the span touches.
    if start == 0:
        start -= finding.bars
    else:
        stop += finding.bars
    weight = 1 - float(windows.overlap_fraction[finding.row])
    return Claim("the window's edge", finding.kind, start, stop, "", weight)


def _weight(windows: Windows, finding: Finding) -> float:
    if finding.kind == "near_duplicate":
        return 0.0
    if finding.kind != "ends":
        return 1.0
    num_bars = windows.bars.shape[1]
    ours = windows.spans[finding.row]
    theirs = windows.spans[finding.other] + finding.shift
    seen = np.clip(np.stack([ours, theirs]), finding.shift, num_bars)
    return 1 - float(span_iou(seen[:1], seen[1:])[0])
