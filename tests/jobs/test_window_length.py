"""Windows of any length: made, learnt from, judged, looked at and slid over a series."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.crossval import main as crossval
from jobs.evaluate import main as evaluate
from jobs.predict import main as predict
from jobs.review import main as review
from jobs.train import main as train
from jobs.windows import main as make_windows
from moola_core.data.corrections import Correction, apply_corrections
from moola_core.data.windows import read_columns, read_windows
from moola_core.errors import DataError
from tests.support.humps import write_humps

pytestmark = pytest.mark.train
CONFIGS = Path(__file__).parents[2] / "configs" / "train"
NUM_BARS, LENGTH = 6000, 48
SMALL = ["model.width=4", "training.epochs=30", "ensemble.seeds=1", "candidates.number=40"]


def planted() -> list[tuple[int, int]]:
    rng = np.random.default_rng(1)
    starts = np.arange(100, NUM_BARS - 100, 90)
    return [(int(a), int(a + rng.integers(6, 16))) for a in starts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series with a hump every 90 bars, the list of humps, and windows of 48 bars."""
    folder = tmp_path_factory.mktemp("length")
    time = pa.array(1_704_205_800 + 60 * np.arange(NUM_BARS), pa.timestamp("s", tz="UTC"))
    write_humps(folder, planted(), NUM_BARS, time)
    assert make(folder, "windows.parquet", LENGTH) == 0
    return folder


def make(folder: Path, out: str, length: int) -> int:
    files = ["--bars", str(folder / "bars.parquet"), "--spans", str(folder / "spans.csv")]
    more = ["--ends", "half-open", "--length", str(length), "--out", str(folder / out)]
    return make_windows([*files, *more])


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    paths = ["--data", str(folder), "--run-dir", str(folder / "run"), "--device", "cpu"]
    sets = [part for one in (*SMALL, "data.labelled=windows.parquet") for part in ("--set", one)]
    assert train(["--config", str(CONFIGS / "span.yaml"), *paths, *sets]) == 0
    return folder / "run"


def test_windows_are_as_long_as_asked(folder: Path) -> None:
    windows, faults = read_windows(folder / "windows.parquet")
    assert faults == []
    assert windows.bars.shape[1:] == (LENGTH, 4)
    assert (windows.spans[:, 1] - windows.spans[:, 0]).tolist() == [b - a for a, b in planted()]


@pytest.mark.parametrize("length", [15, 2001])
def test_a_length_that_no_model_takes_is_refused(
    folder: Path, length: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(folder, "no.parquet", length) == 10
    assert "--length: expected 16..2,000 bars a window" in capsys.readouterr().err


def test_a_run_knows_its_length_and_finds_the_spans_of_a_series(folder: Path, run: Path) -> None:
    card = json.loads((run / "artifacts" / "model.json").read_text())
    assert card["window_bars"] == LENGTH
    argv = ["--run", str(run), "--bars", str(folder / "bars.parquet"), "--device", "cpu"]
    assert predict([*argv, "--out", str(folder / "found.parquet")]) == 0
    found = pq.read_table(folder / "found.parquet").to_pylist()
    starts = np.array([row["start"] for row in found])
    near = [np.abs(starts - a).min() <= 4 for a, _ in planted()]
    assert np.mean(near) > 0.9


def test_it_is_judged_on_windows_of_its_length_alone(
    folder: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--run", str(run), "--data", str(folder), "--device", "cpu"]
    out = folder / "scores.json"
    assert evaluate([*argv, "--file", "windows.parquet", "--peers", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["scores"]["iou50"]["value"] > 0.8
    assert make(folder, "other.parquet", 105) == 0
    capsys.readouterr()
    assert evaluate([*argv, "--file", "other.parquet"]) == 10
    assert "windows of 105 bars, expected 48, as" in capsys.readouterr().err
    page = ["--run", str(run), "--html", str(folder / "r.html"), "--device", "cpu"]
    assert review([str(folder / "windows.parquet"), *page]) == 0
    assert review([str(folder / "other.parquet"), *page]) == 10
    assert "make such windows: jobs.windows --length 48" in capsys.readouterr().err


def test_folds_are_of_its_length_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = [*SMALL, "data.labelled=windows.parquet", "ensemble.columns=[]", "training.epochs=1"]
    argv = ["--config", str(CONFIGS / "span.yaml"), "--data", str(folder), "--device", "cpu"]
    argv += ["--folds", "2", "--repeats", "1", *(p for one in sets for p in ("--set", one))]
    assert crossval(argv) == 0
    assert "recipe - local_segment" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["seed", "jade"])
def test_a_recipe_of_105_bars_says_so_with_the_cure(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--config", str(CONFIGS / f"{name}.yaml"), "--data", str(folder), "--device", "cpu"]
    argv += ["--run-dir", str(folder / name), "--set", "data.labelled=windows.parquet"]
    assert train(argv) == 10
    said = capsys.readouterr().err
    assert f"windows of 48 bars, recipe {name} expected 105; train with --config" in said
    assert "or make windows again: jobs.windows --length 105" in said
    assert said.count("\n") == 1


def test_a_correction_ends_in_its_window(folder: Path) -> None:
    table = read_columns(folder / "windows.parquet")
    name = table["window_id"][0].as_py()
    change = {"window_id": name, "action": "change", "start": 3, "label": "hump"}
    apply_corrections(table, [Correction(**change, stop=LENGTH)], "c.json")
    with pytest.raises(DataError, match="expected a stop of at most 48, the bars of a window"):
        apply_corrections(table, [Correction(**change, stop=LENGTH + 1)], "c.json")
