"""Mutated files for each reader of data: read, or refused in one line."""

from __future__ import annotations

import functools
import io
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moola_core.data.series import read_bars
from moola_core.data.synthetic import make_market, windows_table
from moola_core.data.windows import read_windows
from moola_core.errors import JobError
from moola_remote.deploy.parquet import _footer
from moola_remote.errors import MoolaError
from moola_remote.report.predictions import Window
from moola_remote.report.predictions import read_windows as read_predictions
from tests.support.mutation import MUTATIONS, Mutation, one_line
from tests.support.plain import is_one_line

pytestmark = pytest.mark.fuzz


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where files are written over and over."""
    return tmp_path_factory.mktemp("fuzz")


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression="none")
    return file.getvalue()


@functools.cache
def windows_file() -> bytes:
    market = make_market(5_000, seed=3)
    return _parquet(windows_table(market, 6, per_span=1, shifts=False, seed=5)[0])


@functools.cache
def bars_file() -> bytes:
    prices = np.linspace(10.0, 20.0, 50)
    columns = dict.fromkeys(("open", "high", "low", "close"), prices)
    time = pa.array(np.arange(50) * 60_000_000_000).cast(pa.timestamp("ns", tz="UTC"))
    return _parquet(pa.table({"timestamp": time, **columns}))


@functools.cache
def predictions_file() -> bytes:
    spans: dict[str, Any] = {name: [3, 4] for name in ("start", "true_start", "said_bars")}
    spans |= {name: [8, 9] for name in ("stop", "true_stop")}
    columns = {"window_id": ["a", "b"], "side": ["test", "test"], "confidence": [0.5, 0.9]}
    lists = {
        "span_probs": [[0.5] * 10] * 2,
        "type_probs": [[0.3, 0.7]] * 2,
        "bars": [[1.0] * 40] * 2,
    }
    return _parquet(pa.table({**columns, **spans, "hit_bars": [1, 2], **lists}))


def _read_all(path: Path) -> None:
    for read in (read_windows, read_bars):
        one_line(functools.partial(read, path), JobError)
    one_line(lambda: read_windows(path, skip_bad=True), JobError)
    one_line(lambda: read_predictions(path), MoolaError)
    _footer(path)


@example(Mutation([(3810, 128)], None))  # a window's id is no UTF-8
@given(MUTATIONS)
def test_a_mutated_file_of_windows_is_read_or_refused(folder: Path, change: Mutation) -> None:
    path = folder / "windows.parquet"
    path.write_bytes(change.of(windows_file()))
    _read_all(path)


@example(Mutation([], (0, 10, 2)))  # pyarrow quotes a control character
@given(MUTATIONS)
def test_a_mutated_file_of_bars_is_read_or_refused(folder: Path, change: Mutation) -> None:
    path = folder / "bars.parquet"
    path.write_bytes(change.of(bars_file()))
    _read_all(path)


@given(MUTATIONS)
def test_a_mutated_file_of_predictions_is_read_or_refused(folder: Path, change: Mutation) -> None:
    path = folder / "predictions.parquet"
    path.write_bytes(change.of(predictions_file()))
    for window in _predictions(path):
        assert 0.0 <= window.iou <= 1.0
        assert is_one_line(window.window_id)
    _read_all(path)


def _predictions(path: Path) -> list[Window]:
    found = one_line(lambda: read_predictions(path), MoolaError)
    return found if isinstance(found, list) else []


NUMBERS = st.floats(width=64) | st.sampled_from([0.0, 1.0, -1.0, math.inf, math.nan, 1e308])


VALUES = st.one_of(
    st.lists(NUMBERS | st.none(), min_size=3, max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=3, max_size=3),
    st.lists(st.text(max_size=5) | st.none(), min_size=3, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.lists(st.binary(max_size=3), min_size=3, max_size=3),
    st.lists(st.datetimes(), min_size=3, max_size=3),
    st.lists(st.lists(st.lists(NUMBERS, max_size=5), max_size=3), min_size=3, max_size=3),
    st.lists(st.lists(NUMBERS | st.none(), max_size=5), min_size=3, max_size=3),
    st.just([None, None, None]),
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("timestamp", "open", "high", "low", "close"),
                *("window_id", "base_window_id", "offset", "features", "label", "source"),
                *("expansion_start", "expansion_end", "overlap_fraction", "quality"),
                *("start_timestamp", "file", "span_id", "side", "span_probs", "bars"),
            ]
        ),
        VALUES,
        max_size=16,
    ),
    st.booleans(),
)
@example(columns={"start_timestamp": [datetime(2263, 1, 1)] * 3}, is_whole=True)  # noqa: DTZ001
def test_a_file_of_other_columns_is_read_or_refused(
    folder: Path, columns: dict[str, list[Any]], is_whole: bool
) -> None:
    """With `is_whole`, these replace columns of a right file of windows, or of bars."""
    path = folder / "columns.parquet"
    theirs = {name: pa.array(values) for name, values in columns.items()}
    for base in (windows_file(), bars_file()) if is_whole else (None,):
        table = pq.read_table(io.BytesIO(base)).slice(0, 3) if base else pa.table({})
        ours = {name: table[name] for name in table.column_names}
        pq.write_table(pa.table({**ours, **theirs}), path)
        _read_all(path)
