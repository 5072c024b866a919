"""Several spans a window: made, learnt, scored, found in a series; or one line where they can't."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.evaluate import main as evaluate
from jobs.predict import main as predict
from jobs.review import main as review
from jobs.train import main as train
from jobs.tune import main as tune
from jobs.windows import main as make_windows
from tests.support.humps import write_humps

pytestmark = pytest.mark.train
CONFIGS = Path(__file__).parents[2] / "configs" / "train"
NUM_BARS = 6_000
SMALL = ["model.width=4", "training.epochs=24", "ensemble.seeds=1", "split.validation_share=0.2"]


def planted() -> list[tuple[int, int]]:
    rng, spans, at = np.random.default_rng(1), list[tuple[int, int]](), 60
    while at < NUM_BARS - 80:
        stop = at + int(rng.integers(6, 16))
        spans.append((at, stop))
        at = stop + int(rng.integers(4, 50))
    return spans


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    time = pa.array(np.arange(NUM_BARS) * 60_000_000_000, pa.timestamp("ns", "UTC"))
    write_humps(folder, planted(), NUM_BARS, time)
    files = ["--bars", str(folder / "bars.parquet"), "--spans", str(folder / "spans.csv")]
    argv = [*files, "--ends", "half-open", "--length", "72", "--several"]
    assert make_windows([*argv, "--out", str(folder / "several.parquet")]) == 0
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    paths = ["--data", str(folder), "--run-dir", str(folder / "run"), "--device", "cpu"]
    sets = [part for one in (*SMALL, "data.labelled=several.parquet") for part in ("--set", one)]
    assert train([*paths, *sets]) == 0
    return folder / "run"


def test_it_is_learnt_how_many_there_are_and_where(folder: Path, run: Path) -> None:
    card = json.loads((run / "artifacts" / "model.json").read_text())
    assert card["recipe"]["model"]["several"] is True
    assert card["decoder"]["kind"] == "disjoint"
    out = folder / "scores.json"
    argv = ["--run", str(run), "--data", str(folder), "--device", "cpu", "--out", str(out)]
    assert evaluate([*argv, "--file", "several.parquet"]) == 0
    scores = json.loads(out.read_text())["scores"]
    assert scores["f1"]["value"] > 0.85
    assert scores["span_precision"]["value"] > 0.85
    assert scores["span_recall"]["value"] > 0.85
    rules = json.loads(out.read_text())["comparison"]["local_segment"]
    assert rules["span_recall"]["value"] < 0.7  # one a window


def test_predictions_list_every_span(run: Path) -> None:
    rows = pq.read_table(run / "artifacts" / "predictions.parquet").to_pylist()
    assert max(len(row["true_starts"]) for row in rows) > 1
    assert max(len(row["starts"]) for row in rows) > 1
    for row in rows:
        found = list(zip(row["starts"], row["stops"], row["confidences"], strict=True))
        assert len(row["types"]) == len(found)
        assert all(a[1] <= b[0] for a, b in pairwise(found))
        surest = max(found, key=lambda one: one[2]) if found else (0, 0, 0.0)
        assert (row["start"], row["stop"], row["confidence"]) == surest
        assert row["said_bars"] == sum(b - a for a, b, _ in found)
        assert row["true_start"] in row["true_starts"]


def test_a_series_is_searched_with_several_spans_a_window(folder: Path, run: Path) -> None:
    out = folder / "found.parquet"
    assert (
        predict(["--run", str(run), "--bars", str(folder / "bars.parquet"), "--out", str(out)]) == 0
    )
    found = pq.read_table(out).to_pylist()
    true = planted()
    hits = sum(
        any(
            3 * (min(b, row["stop"]) - max(a, row["start"])) >= b - a + row["stop"] - row["start"]
            for row in found
        )
        for a, b in true
    )
    assert hits > 0.85 * len(true)
    assert len(found) < 1.15 * len(true)


def test_who_looks_for_one_span_refuses_them_in_one_line(
    folder: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = "data.labelled=several.parquet"
    paths = ["--data", str(folder), "--run-dir", str(folder / "other"), "--device", "cpu"]
    tries = [
        (train, ["--config", str(CONFIGS / "span.yaml"), *paths, "--set", "model.several=false"]),
        (review, ["several.parquet", "--data", str(folder)]),
        (tune, [str(run), "--data", str(folder)]),
    ]
    lines = [
        "expected one a window; train with",
        "expected one a window to review",
        "finds several",
    ]
    for (job, argv), line in zip(tries, lines, strict=True):
        capsys.readouterr()
        assert job([*argv, *(["--set", file] if job is train else [])]) != 0
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert line in error, error
