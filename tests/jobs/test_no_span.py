"""Windows without a span: learnt as one more outcome, found, counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.common import weighing
from jobs.common.fitting import load, pool_split
from jobs.evaluate import main as evaluate
from jobs.predict import main as predict
from jobs.train import main as train
from jobs.windows import main as make_windows
from moola_core.config.recipe import load_recipe
from moola_core.data.windows import read_windows
from moola_core.errors import DataError
from moola_core.inference.ensemble import with_seed
from moola_core.inference.pool import PoolWeights
from moola_remote.report.predictions import read_windows as read_judged
from tests.support.humps import write_humps

pytestmark = pytest.mark.train
SPAN = Path(__file__).parents[2] / "configs" / "train" / "span.yaml"
NUM_BARS = 6_500
SMALL = ["model.width=4", "training.epochs=20", "ensemble.seeds=1", "candidates.number=40"]


def planted() -> list[tuple[int, int]]:
    """Humps in pairs, then a long pause without any."""
    rng = np.random.default_rng(1)
    starts = [a for at in range(200, NUM_BARS - 300, 260) for a in (at, at + 70)]
    return [(a, a + int(rng.integers(6, 16))) for a in starts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("none")
    write_humps(folder, planted(), NUM_BARS)
    files = ["--bars", str(folder / "bars.parquet"), "--spans", str(folder / "spans.csv")]
    more = ["--ends", "half-open", "--length", "48", "--negatives", "60"]
    for seed, name in (("0", "train"), ("1", "test")):
        out = ["--out", str(folder / f"{name}.parquet"), "--seed", seed]
        assert make_windows([*files, *more, *out]) == 0
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    paths = ["--data", str(folder), "--run-dir", str(folder / "run"), "--device", "cpu"]
    more = ["data.labelled=train.parquet", "data.test=test.parquet"]
    sets = [part for one in (*SMALL, *more) for part in ("--set", one)]
    assert train(["--config", str(SPAN), *paths, *sets]) == 0
    return folder / "run"


def test_windows_without_a_span_are_read_where_they_are_asked_for(folder: Path) -> None:
    every, faults = read_windows(folder / "train.parquet", keep_none=True)
    assert faults == []
    with_span, passed_over = read_windows(folder / "train.parquet")
    none = ~every.has_span
    assert len(passed_over) == none.sum() > 20
    assert (every.spans[none] == 0).all()
    assert (every.types[none] == -1).all()
    assert every.labels == with_span.labels == ("hump",)
    assert every.take(every.has_span).window_id.tolist() == with_span.window_id.tolist()
    words = every.with_labels(("dip", "hump"), "here")
    assert set(words.types[none]) == {-1}
    assert set(words.types[~none]) == {1}


def test_windows_without_a_span_may_be_set_aside(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns learn from windows with a span, and are asked of all that are set aside."""
    weights = PoolWeights((0.9, 0.5), (1.0, 0.0))
    monkeypatch.setattr(weighing, "fit_pool", lambda *_: weights)
    run, sets = folder / "aside", [*SMALL[:1], *SMALL[2:], "training.epochs=2"]
    sets += ["data.labelled=train.parquet", "data.test=null", "split.validation_share=0.3"]
    words = [part for one in sets for part in ("--set", one)]
    paths = ["--data", str(folder), "--run-dir", str(run), "--device", "cpu"]
    assert train(["--config", str(SPAN), *paths, *words]) == 0
    judged = pq.read_table(run / "artifacts" / "predictions.parquet")
    has_span = judged["true_stop"].to_numpy() > judged["true_start"].to_numpy()
    assert 0 < has_span.sum() < len(has_span)
    lines = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert any("choice" in one.get("validation", {}) for one in lines)  # columns were asked


def test_the_fold_that_is_left_out_has_a_span(folder: Path, tmp_path: Path) -> None:
    table = pq.read_table(folder / "train.parquet")
    has_span = np.array(table["label"].is_valid())
    rows = [*np.flatnonzero(has_span)[::6], *np.flatnonzero(~has_span)]
    pq.write_table(table.take(rows), tmp_path / "few.parquet")
    pq.write_table(table.take(rows[7:]), tmp_path / "one.parquet")
    recipe = load_recipe(SPAN, ["data.test=null", "data.labelled=few.parquet"])
    first = load(recipe, tmp_path, "cpu", skip_bad=False)
    seeds = range(40)
    split = [pool_split(replace(first, recipe=with_seed(first.recipe, seed))) for seed in seeds]
    for one in split:
        assert first.train.has_span[one.train].any()
        assert first.train.has_span[one.validation].any()
    recipe = load_recipe(SPAN, ["data.test=null", "data.labelled=one.parquet"])
    loaded = load(recipe, tmp_path, "cpu", skip_bad=False)
    with pytest.raises(DataError, match=r"1 of .* windows have a span, expected enough that some"):
        pool_split(loaded)


def test_the_model_learns_where_there_is_none(folder: Path, run: Path) -> None:
    card = json.loads((run / "artifacts" / "model.json").read_text())
    assert card["recipe"]["model"]["no_span"] is True
    out = folder / "scores.json"
    argv = ["--run", str(run), "--data", str(folder), "--device", "cpu", "--out", str(out)]
    assert evaluate([*argv, "--file", "test.parquet"]) == 0
    scores = json.loads(out.read_text())["scores"]
    assert scores["false_alarms"]["value"] < 0.1
    assert scores["misses"]["value"] < 0.1
    assert scores["span_f1"]["value"] > 0.8
    rules = json.loads(out.read_text())["comparison"]["local_segment"]
    assert rules["false_alarms"]["value"] == 1.0


def test_the_laptop_reads_what_was_judged(run: Path) -> None:
    judged = read_judged(run / "artifacts" / "predictions.parquet")
    none = [one for one in judged if one.true_stop == 0]
    assert len(none) > 20
    assert {one.true_type for one in none} == {None}
    probs = pq.read_table(run / "artifacts" / "predictions.parquet")["none_prob"].to_numpy()
    assert (probs[[one.true_stop == 0 for one in judged]] > 0.5).mean() > 0.9


def test_a_series_has_no_spans_in_its_pauses(folder: Path, run: Path) -> None:
    argv = ["--run", str(run), "--bars", str(folder / "bars.parquet"), "--device", "cpu"]
    assert predict([*argv, "--out", str(folder / "found.parquet")]) == 0
    found = pq.read_table(folder / "found.parquet").to_pylist()
    far = [
        row
        for row in found
        if all(row["stop"] <= a - 10 or row["start"] >= b + 10 for a, b in planted())
    ]
    assert len(far) < 0.1 * len(found)
    assert len(found) > 0.8 * len(planted())


def test_other_recipes_cannot_be_asked_for_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--config", str(SPAN.with_name("jade.yaml")), "--data", str(folder), "--device", "cpu"]
    assert train([*argv, "--run-dir", str(folder / "j"), "--set", "model.no_span=true"]) == 10
    assert "no_span: expected true of kind unet alone" in capsys.readouterr().err
