"""The same spans from prices of any size, from the windows to the answer."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from jobs.predict import main as predict
from jobs.train import main as train
from jobs.windows import main as make_windows
from tests.support.humps import write_humps

pytestmark = pytest.mark.train
SPAN = Path(__file__).parents[2] / "configs" / "train" / "span.yaml"
SPANS = [(start, start + 8 + start % 5) for start in range(100, 1400, 83)]
SMALL = ("model.width=4", "training.epochs=1", "ensemble.seeds=1", "candidates.number=20")


def found(folder: Path, factor: float, moved: float) -> pa.Table:
    """Return what a run finds that learnt from the same bars times `factor`, moved before."""
    folder.mkdir()
    write_humps(folder, SPANS, 1500)
    bars = pq.read_table(folder / "bars.parquet")
    columns = {name: pc.multiply(pc.add(bars[name], moved), factor) for name in bars.column_names}
    pq.write_table(pa.table(columns), folder / "bars.parquet")
    paths = ["--bars", str(folder / "bars.parquet"), "--out", str(folder / "windows.parquet")]
    spans = ["--spans", str(folder / "spans.csv"), "--ends", "half-open", "--negatives", "2"]
    assert make_windows([*paths, *spans]) == 0
    sets = [part for one in (*SMALL, "data.labelled=windows.parquet") for part in ("--set", one)]
    run = ["--data", str(folder), "--run-dir", str(folder / "run"), "--device", "cpu"]
    assert train(["--config", str(SPAN), *run, *sets]) == 0
    paths = ["--bars", str(folder / "bars.parquet"), "--out", str(folder / "found.parquet")]
    assert predict(["--run", str(folder / "run"), *paths, "--device", "cpu"]) == 0
    return pq.read_table(folder / "found.parquet")


def test_the_size_of_prices_changes_no_span_and_no_confidence(tmp_path: Path) -> None:
    huge = found(tmp_path / "huge", 1e10, 0.0)
    assert len(huge) > 5
    assert found(tmp_path / "tiny-below-0", 1e-10, -200.0).equals(huge)
