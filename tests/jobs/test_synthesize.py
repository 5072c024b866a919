from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.synthesize import main
from moola_core.data.windows import read_windows


@pytest.mark.parametrize(("name", "num_windows"), [("train_210", 210), ("test_1000", 1000)])
def test_windows_are_good_and_grouped_by_span(data: Path, name: str, num_windows: int) -> None:
    windows, faults = read_windows(data / "labelled" / f"{name}.parquet")
    assert (len(windows), faults) == (num_windows, [])
    assert len(set(windows.group.tolist())) < num_windows


def test_test_windows_share_no_span_with_training(data: Path) -> None:
    rows = pq.read_table(data / "labelled" / "span_ids.parquet").to_pylist()
    spans = {
        file: {r["span_id"] for r in rows if r["file"] == file}
        for file in ("train_2000", "test_1000")
    }
    assert not spans["train_2000"] & spans["test_1000"]
    assert len(rows) == 3210


def test_a_folder_that_is_there_is_left_alone(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(data)]) == 10
    assert "already exists" in capsys.readouterr().err
