"""The scores that are shown, and which of them are better when low."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
_LOW_IS_GOOD = frozenset({"ece", "out_span", "reconstruction", "false_alarms", "misses"})
_LOSS = re.compile(r"(loss|error|err|mae|mse|rmse|nll|perplexity|total)$", re.IGNORECASE)


def is_low_good(name: str) -> bool:
    """Return whether less is better: of ours as listed, of a job's own by its name."""
    return name.rpartition(".")[2] in _LOW_IS_GOOD or _LOSS.search(name) is not None


def in_order(known: Iterable[str], tables: Iterable[Iterable[str]]) -> list[str]:
    """Return the scores that a table has: `known` ones first, then a job's own as they come."""
    found = dict.fromkeys(name for table in tables for name in table)
    return list(dict.fromkeys([*(name for name in known if name in found), *found]))
