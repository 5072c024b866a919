"""The scores that are shown, and which of them are better when low."""

from __future__ import annotations

# The most important first.
SCORES = {
    "f1": "F1",
    "iou": "IoU",
    "hit3": "Hit±3",
    "average_precision": "AP",
    "in_span": "in",
    "out_span": "out",
    "precision": "prec",
    "recall": "recall",
    "iou50": "IoU≥.5",
    "type_f1": "type F1",
    "center_mae": "centre",
    "length_mae": "length",
    "ece": "ECE",
    "gap": "gap",
    "span_f1": "span F1",
    "span_precision": "span prec",
    "span_recall": "span recall",
    "false_alarms": "alarms",
    "misses": "missed",
    "reconstruction": "hidden",
}
LOW_IS_GOOD = frozenset(
    {"center_mae", "length_mae", "ece", "out_span", "reconstruction", "false_alarms", "misses"}
)
