"""Label noise that overlapping windows reveal: the same bars, labelled twice and differently.

Kinds of finding:

- ``clipped``: a span that its window's edge cuts, so that its end is not the run's end;
- ``ends``: two windows label the same run, but its ends differ where both show them;
- ``other_run``: a window labels one run, and shows whole the other one that its neighbour labels;
- ``type``: two windows label the same run with different types;
- ``near_duplicate``: two windows share all but a few bars, so that they count as one.

Letters: B windows, T bars a window, P pairs of windows that share bars.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from moola_core.data.overlaps import Overlaps, find_overlaps
from moola_core.data.windows import Windows
from moola_core.spans.intervals import IntArray, span_iou

KINDS = ("type", "ends", "other_run", "clipped", "near_duplicate")
NEAR_BARS = 5


@dataclass(frozen=True)
class Finding:
    """One suspicious label, or two that contradict one another.

    Attributes:
        kind: one of KINDS.
        row, other: rows of the windows; `other` is -1 where one window suffices.
        shift: bars from the start of `row` to that of `other`.
        bars: how many bars are in question: beyond the edge, of the ends' difference, of the run
            that is not labelled, not shared.
    """

    kind: str
    row: int
    other: int
    shift: int
    bars: int


def find_noise(windows: Windows, near_bars: int = NEAR_BARS) -> list[Finding]:
    """Return every finding, by kind, the most bars first (near duplicates: the fewest).

    Args:
        windows: labelled windows; which of them share bars is found in the bars themselves.
        near_bars: windows that start at most so many bars apart are near duplicates.
    """
    overlaps = find_overlaps(windows)
    found = [*_clipped(windows), *_contradictions(windows, overlaps)]
    for first, second, shift in zip(overlaps.first, overlaps.second, overlaps.shift, strict=True):
        if shift <= near_bars:
            found.append(Finding("near_duplicate", int(first), int(second), int(shift), int(shift)))
    sign = {kind: 1 if kind == "near_duplicate" else -1 for kind in KINDS}
    return sorted(
        found,
        key=lambda one: (KINDS.index(one.kind), sign[one.kind] * one.bars, one.row, one.other),
    )


def findings_table(windows: Windows, findings: list[Finding]) -> pa.Table:
    """Return a row a finding: both windows by name, their spans (half-open) and types."""
    rows = [_table_row(windows, finding) for finding in findings]
    text, whole = pa.string(), pa.int64()
    schema = pa.schema(
        [
            *(("kind", text), ("window_id", text), ("other_window_id", text)),
            *(("shift", whole), ("bars", whole), ("start", whole), ("stop", whole), ("type", text)),
            *(("other_start", whole), ("other_stop", whole), ("other_type", text)),
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def _table_row(windows: Windows, finding: Finding) -> dict[str, object]:
    def columns_of(row: int, prefix: str) -> dict[str, object]:
        start, stop = windows.spans[row].tolist()
        return {
            f"{prefix}window_id": str(windows.window_id[row]),
            f"{prefix}start": start,
            f"{prefix}stop": stop,
            f"{prefix}type": windows.labels[windows.types[row]],
        }

    table_row: dict[str, object] = {"kind": finding.kind, "bars": finding.bars}
    table_row |= columns_of(finding.row, "")
    if finding.other >= 0:
        table_row |= {"shift": finding.shift} | columns_of(finding.other, "other_")
    return table_row


def _clipped(windows: Windows) -> Iterator[Finding]:
    spans, fraction = windows.spans, windows.overlap_fraction
    touches = (spans[:, 0] == 0) | (spans[:, 1] == windows.bars.shape[1])
    shown = spans[:, 1] - spans[:, 0]
    # What is hidden follows from the share that is shown.
    hidden = np.round(shown / fraction - shown).astype(np.int64)
    for row in np.flatnonzero(touches | (fraction < 1)):
        yield Finding("clipped", int(row), -1, 0, int(hidden[row]))


def _contradictions(windows: Windows, overlaps: Overlaps) -> Iterator[Finding]:
    num_bars = windows.bars.shape[1]
    first, second, shift = overlaps.first, overlaps.second, overlaps.shift
    # Both spans in bars of the first window; the stretch [shift, T) is in both windows.
    ours, theirs = windows.spans[first], windows.spans[second] + shift[:, None]
    seen_ours, seen_theirs = (_shown(spans, shift, num_bars) for spans in (ours, theirs))
    is_same = span_iou(seen_ours, seen_theirs) > 0
    difference = np.abs(seen_ours - seen_theirs).sum(axis=1)
    conflict = windows.types[first] != windows.types[second]
    for pair in np.flatnonzero(is_same & (difference > 0)):
        yield _of_pair("ends", overlaps, pair, int(difference[pair]))
    for pair in np.flatnonzero(is_same & conflict):
        yield _of_pair("type", overlaps, pair, int(_length(seen_ours)[pair]))
    whole_ours = (seen_ours == ours).all(axis=1) & (_length(ours) > 0)
    whole_theirs = (seen_theirs == theirs).all(axis=1) & (_length(theirs) > 0)
    for pair in np.flatnonzero(~is_same & (whole_ours | whole_theirs)):
        hidden = ours if whole_ours[pair] else theirs
        yield _of_pair("other_run", overlaps, pair, int(_length(hidden)[pair]))


def _of_pair(kind: str, overlaps: Overlaps, pair: np.int64, bars: int) -> Finding:
    values = (getattr(overlaps, field.name)[pair] for field in fields(overlaps))
    first, second, shift = (int(value) for value in values)
    return Finding(kind, first, second, shift, bars)


def _shown(spans: IntArray, shift: IntArray, num_bars: int) -> IntArray:
    """Return the part of each span in ``[shift, num_bars)``, the bars that both windows show."""
    start = np.clip(spans[:, 0], shift, num_bars)
    return np.stack([start, np.maximum(np.clip(spans[:, 1], shift, num_bars), start)], axis=1)


def _length(spans: IntArray) -> IntArray:
    return spans[:, 1] - spans[:, 0]
