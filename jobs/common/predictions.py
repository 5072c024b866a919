"""The table of predictions among the artifacts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from moola_core.data.windows import Windows
from moola_core.decoding.decode import Decoded, Predictions
from moola_core.inference.pool import evidence_of


def predictions_table(parts: list[tuple[str, Windows, Predictions, Decoded]]) -> pa.Table:
    """Return a row a window: truth, answer and bars; columns: docs/protocol.md."""
    tables = []
    for side, windows, predictions, decoded in parts:
        inside = windows.inside
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
        tables.append(pa.table(columns | _lists(windows, decoded)))
    return pa.concat_tables(tables)


def _lists(windows: Windows, decoded: Decoded) -> dict[str, Any]:
    """Return columns with a list a window, of every found and every true span; none of one each."""
    if decoded.sets is None:
        return {}
    found, num_windows = decoded.sets, len(windows)
    sets, types = windows.sets, windows.set_types
    is_true = sets[..., 1] > sets[..., 0]

    def of_found(values: Any) -> list[list[Any]]:
        cuts = np.searchsorted(found.window, np.arange(1, num_windows))
        return [part.tolist() for part in np.split(np.asarray(values), cuts)]

    def of_true(values: Any) -> list[list[Any]]:
        return [row[there].tolist() for row, there in zip(values, is_true, strict=True)]

    columns: dict[str, Any] = {
        "starts": of_found(found.spans[:, 0]),
        "stops": of_found(found.spans[:, 1]),
        "confidences": of_found(found.confidence),
        "true_starts": of_true(sets[..., 0]),
        "true_stops": of_true(sets[..., 1]),
        "true_types": of_true(types),
    }
    if decoded.set_types is not None:
        columns["types"] = of_found(decoded.set_types.argmax(axis=1))
    return columns
