"""Counts of windows and bars, out of Parquet footers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from moola_remote.deploy.parquet import contents_of
from moola_remote.deploy.snapshot import data_tree


def test_windows_and_bars_are_counted_and_what_is_torn_is_named(tmp_path: Path) -> None:
    for name, columns, num_rows in [
        ("labelled/train", ["window_id", "expansion_start", "expansion_end"], 30),
        ("labelled/test", ["window_id", "expansion_start"], 4),
        ("labelled/ids", ["window_id", "span_id"], 9),
        ("bars/bare", ["timestamp", "open", "high", "low", "close"], 6),
        ("bars/one", ["timestamp", "open", "high", "low", "close", "volume"], 1234),
    ]:
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({column: range(num_rows) for column in columns}), path)
    (tmp_path / "bars" / "notes.txt").write_text("no Parquet, and not called so")
    folders = {name: tmp_path / name for name in ("labelled", "bars")}
    assert str(contents_of(data_tree(folders))) == "34 windows, 1,240 bars"
    (tmp_path / "bars" / "torn.parquet").write_bytes(b"PAR1")
    shown = str(contents_of(data_tree(folders)))
    assert shown == "34 windows, 1,240 bars, not Parquet: bars/torn.parquet"
