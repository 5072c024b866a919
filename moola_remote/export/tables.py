"""Fetched runs as tables, and those as files that other programs read: CSV, Parquet, TensorBoard.

A table holds several runs below each other, `run_id` first. What one run has and another has not is
null there; a loss that diverged is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from moola_remote.errors import ConfigError
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable
from moola_remote.protocol.events import EPOCH_TABLES

if TYPE_CHECKING:
    from moola_remote.report.run_files import RunFiles
Row: TypeAlias = "dict[str, Any]"
SPANS = (
    *("run_id", "window_id", "side", "group", "start_time", "start", "stop", "confidence"),
    *("true_start", "true_stop", "iou", "type", "true_type"),
)


def epochs_table(runs: Iterable[RunFiles]) -> pa.Table:
    """Return a row an epoch: time, pace, learning rate, and ``train/span``, ``scores/f1`` ..."""
    rows = [row for run in runs for row in _epoch_rows(run)]
    names = dict.fromkeys(name for row in rows for name in row)
    kinds = {"run_id": pa.string(), "epoch": pa.int64()}
    fixed = ("run_id", "epoch", "t", "seconds", "learning_rate")
    columns = [(name, kinds.get(name, pa.float64())) for name in {**dict.fromkeys(fixed), **names}]
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def _epoch_rows(run: RunFiles) -> Iterator[Row]:
    for event in run.view.epochs.values():
        row = {"epoch": event.epoch, "t": event.t, "seconds": event.seconds}
        row["learning_rate"] = event.learning_rate
        for group in EPOCH_TABLES:
            row |= {f"{group}/{name}": value for name, value in getattr(event, group).items()}
        yield {"run_id": run.run_id, **row}


def scores_table(runs: Iterable[RunFiles]) -> pa.Table:
    """Return a row a score: of the run itself (`baseline` is null) and of each rule."""
    rows = [row for run in runs for row in _score_rows(run)]
    texts = [(name, pa.string()) for name in ("run_id", "side", "baseline", "score")]
    numbers = [(name, pa.float64()) for name in ("value", "low", "high")]
    return pa.Table.from_pylist(rows, schema=pa.schema([*texts, *numbers]))


def _score_rows(run: RunFiles) -> Iterator[Row]:
    if run.result is None:
        return
    scores = run.result.scores
    own = [("validation", None, scores.validation), ("test", None, scores.test or {})]
    rules = [(run.judged_side, name, board) for name, board in run.result.baselines.items()]
    for side, baseline, board in (*own, *rules):
        for name, one in board.items():
            row = {"value": one.value, "low": one.low, "high": one.high}
            yield {"run_id": run.run_id, "side": side, "baseline": baseline, "score": name, **row}


def spans_table(runs: Iterable[RunFiles]) -> pa.Table:
    """Return a row a judged window: the found span and the true one, half-open, in bars."""
    rows = [row for run in runs for row in _span_rows(run)]
    texts, numbers = {"run_id", "window_id", "side", "type", "true_type"}, {"confidence", "iou"}
    kinds = {name: pa.string() for name in texts} | {name: pa.float64() for name in numbers}
    columns = [(name, kinds.get(name, pa.int64())) for name in SPANS]
    return pa.Table.from_pylist(rows, schema=pa.schema(columns))


def _span_rows(run: RunFiles) -> Iterator[Row]:
    for window in run.windows:
        row = {name: getattr(window, name, None) for name in SPANS}
        row["type"] = _type_name(run, window.said_type)
        row["true_type"] = _type_name(run, window.true_type)
        yield {**row, "run_id": run.run_id}


def _type_name(run: RunFiles, index: int | None) -> str | None:
    if index is None:
        return None
    return run.types[index] if index < len(run.types) else str(index)


TABLES: Mapping[str, Callable[[Iterable[RunFiles]], pa.Table]] = {
    "epochs": epochs_table,
    "scores": scores_table,
    "spans": spans_table,
}


def write_table(table: pa.Table, path: Path) -> None:
    """Write `table` as the file's ending says, ``.csv`` or ``.parquet``: whole, or not at all.

    Raises:
        ConfigError: another ending, or it can't be written.
    """
    from pyarrow import parquet

    writers = {".csv": _write_csv, ".parquet": parquet.write_table}
    if path.suffix not in writers:
        raise ConfigError(f"{path}: unknown kind, expected a name ending in {' or '.join(writers)}")
    try:
        with atomic.replacing(path) as aside:
            writers[path.suffix](table, aside)
    except OSError as err:
        raise unwritable(path, err, ConfigError) from err


def _write_csv(table: pa.Table, path: Path) -> None:
    """Write CSV; a pod's text that looks like a spreadsheet formula gets a leading apostrophe."""
    from pyarrow import compute, csv

    texts = [name for name in table.column_names if table[name].type == pa.string()]
    for name in texts:
        guarded = compute.replace_substring_regex(table[name], r"^([=+@-])", r"'\1")
        table = table.set_column(table.column_names.index(name), name, guarded)
    csv.write_csv(table, path)
