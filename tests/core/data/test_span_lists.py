"""Files of windows with several spans: what writers make of lists, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moola_core.data.windows import Windows, read_windows
from moola_core.errors import DataError

BARS = [[100.0, 101.0, 99.0, 100.5]] * 40
STARTS, ENDS, LABELS = "expansion_starts", "expansion_ends", "expansion_labels"
LISTS: dict[str, Any] = {
    STARTS: [[1, 20], [5], []],
    ENDS: [[4, 25], [9], None],
    LABELS: [["up", "down"], ["down"], []],
}


def read(folder: Path, columns: dict[str, Any]) -> Windows:
    path = folder / "windows.parquet"
    pq.write_table(pa.table({"features": [BARS] * 3, **columns}), path)
    return read_windows(path, keep_none=True)[0]


def test_every_span_is_read_with_its_type(tmp_path: Path) -> None:
    windows = read(tmp_path, LISTS)
    assert windows.labels == ("down", "up")
    assert windows.sets.tolist() == [[[1, 5], [20, 26]], [[5, 10], [0, 0]], [[0, 0], [0, 0]]]
    assert windows.set_types.tolist() == [[1, 0], [0, -1], [-1, -1]]
    # the single columns are those of the first
    assert windows.spans.tolist() == [[1, 5], [5, 10], [0, 0]]
    assert windows.has_span.tolist() == [True, True, False]
    assert windows.inside.sum(axis=1).tolist() == [10, 5, 0]
    part = windows.take(np.array([1, 0])).with_labels(("a", "down", "up"), "here")
    assert part.set_types.tolist() == [[1, -1], [2, 1]]
    assert part.types.tolist() == [1, 2]


def test_spans_may_lie_at_either_edge_of_their_window(tmp_path: Path) -> None:
    last = len(BARS) - 1
    lists = {
        STARTS: [[0, last], [0], [last]],
        ENDS: [[0, last], [last], [last]],
        LABELS: [["up", "up"], ["up"], ["up"]],
    }
    windows = read(tmp_path, lists)
    assert windows.sets[:, 0].tolist() == [[0, 1], [0, last + 1], [last, last + 1]]
    assert windows.sets[0, 1].tolist() == [last, last + 1]


@pytest.mark.parametrize("entry", [pa.int8(), pa.uint16(), pa.uint64(), pa.float32()], ids=str)
@pytest.mark.parametrize("outer", [pa.list_, pa.large_list])
def test_any_whole_numbers_and_any_text_do(tmp_path: Path, entry: Any, outer: Any) -> None:
    words = pa.dictionary(pa.int8(), pa.string())
    columns = {
        STARTS: pa.array([[20, 1], [5], None], outer(entry)),
        ENDS: pa.array([[25, 4], [9], []], outer(entry)),
        LABELS: pa.array([["down", "up"], ["down"], []], outer(words)),
        "expansion_start": [20, 5, None],
        "expansion_end": [25, 9, None],
        "label": ["down", "down", None],
    }
    windows = read(tmp_path, columns)
    assert windows.sets.tolist() == read(tmp_path, LISTS).sets.tolist()
    assert windows.set_types.tolist() == [[1, 0], [0, -1], [-1, -1]]
    assert windows.spans.tolist() == [[20, 26], [5, 10], [0, 0]]


def test_what_pandas_writes_is_read(tmp_path: Path) -> None:
    import pandas as pd

    rows = {
        "features": [[list(bar) for bar in BARS]] * 2,
        STARTS: [np.array([1, 20], np.uint16), np.array([], np.uint16)],
        ENDS: [[4, 25], []],
        LABELS: [np.array(["up", "down"]), np.array([], str)],
    }
    path = tmp_path / "windows.parquet"
    pd.DataFrame(rows).to_parquet(path)
    windows, faults = read_windows(path)
    assert windows.sets.tolist() == [[[1, 5], [20, 26]]]
    assert [fault.value for fault in faults] == ["null"]


def test_lists_of_one_span_each_are_windows_as_ever(tmp_path: Path) -> None:
    windows = read(
        tmp_path, {STARTS: [[3], [5], []], ENDS: [[4], [9], []], LABELS: [["a"]] * 2 + [[]]}
    )
    assert windows.several is None
    assert windows.sets.tolist() == [[[3, 5]], [[5, 10]], [[0, 0]]]


WRONG = [
    (
        {STARTS: [[1, 3], [5], []]},
        "row 0, column expansion_starts: expected spans that share no bar",
    ),
    ({STARTS: [[1, 4], [5], []]}, "got 4 after a span of 1 to 4"),
    ({ENDS: [[4, 40], [9], []]}, "row 0, column expansion_ends: expected a bar in 20..39, got 40"),
    ({ENDS: [[4, 19], [9], []]}, "expected a bar in 20..39, got 19 of the span from 20"),
    (
        {STARTS: [[1, 20], [-1], []]},
        "row 1, column expansion_starts: expected bars in 0..39, got -1",
    ),
    ({ENDS: [[4], [9], []]}, "expansion_ends: expected 2 entries, as expansion_starts has, got 1"),
    ({LABELS: [["a", "b"], ["b"], ["a"]]}, "row 2, column expansion_labels: expected 0 entries"),
    ({ENDS: [[4, None], [9], []]}, "column expansion_ends: expected a value each, got null"),
    (
        {LABELS: [["a", " "], ["b"], []]},
        "column expansion_labels: expected words for types, got ' '",
    ),
    ({STARTS: [[1.5, 20.0], [5.0], []]}, "expected lists of integers, got list"),
    (
        {STARTS: ["1, 20", "5", ""]},
        "column expansion_starts: expected lists of integers, got string",
    ),
    ({LABELS: [[1, 2], [3], []]}, "column expansion_labels: expected lists of strings, got list"),
    (
        {
            "expansion_start": [1, 6, None],
            "expansion_end": [4, 9, None],
            "label": ["up", "down", None],
        },
        "and expansion_ends with its label (5 to 9), got 6 to 9, 'down'",
    ),
    (
        {"expansion_start": [1, 5, 7], "expansion_end": [4, 9, 9], "label": ["up", "down", "up"]},
        "row 2, column expansion_start: expected one of",
    ),
]


@pytest.mark.parametrize(("changed", "line"), WRONG, ids=[line[-40:] for _, line in WRONG])
def test_what_can_not_be_is_one_line(tmp_path: Path, changed: dict[str, Any], line: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, {**LISTS, **changed})
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_three_columns_are_needed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column expansion_labels is missing beside expansion_star"):
        read(tmp_path, {STARTS: LISTS[STARTS], ENDS: LISTS[ENDS]})
