"""The table of predictions among the artifacts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from moola_core.data.windows import Windows
from moola_core.decoding.decode import Decoded, Predictions
from moola_core.inference.pool import evidence_of
from moola_core.spans.intervals import span_mask


def predictions_table(parts: list[tuple[str, Windows, Predictions, Decoded]]) -> pa.Table:
    """Return a row a window: truth, answer and bars; columns: docs/protocol.md."""
    tables = []
    for side, windows, predictions, decoded in parts:
        inside = span_mask(windows.spans, windows.bars.shape[1])
        columns: dict[str, Any] = {
            "window_id": [str(name) for name in windows.window_id],
            "side": [side] * len(windows),
            "group": windows.group,
            "start_time": windows.start_time,
            "start": decoded.spans[:, 0],
            "stop": decoded.spans[:, 1],
            "confidence": decoded.confidence,
            "true_start": windows.spans[:, 0],
            "true_stop": windows.spans[:, 1],
            "true_type": windows.types,
            "said_bars": decoded.mask.sum(axis=1),
            "hit_bars": (decoded.mask & inside).sum(axis=1),
            "bars": list(windows.bars.reshape(len(windows), -1).astype(np.float32)),
            "span_probs": list(predictions.span_probs.astype(np.float32)),
        }
        evidence = evidence_of(predictions, decoded.spans)
        if evidence is not None:
            known = np.nan_to_num(evidence)
            columns["evidence_networks"], columns["evidence_columns"] = known.T
        if predictions.none_probs is not None:
            columns["none_prob"] = predictions.none_probs
        if predictions.type_probs is not None:
            columns["type_probs"] = list(predictions.type_probs.astype(np.float32))
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)
