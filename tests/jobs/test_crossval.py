from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jobs.crossval import main as crossval
from moola_core.data.windows import read_windows
from moola_core.evaluation.baselines import as_decoded
from moola_core.evaluation.comparison import Answers, compare
from moola_core.evaluation.metrics import Truth, window_sums
from moola_core.spans.intervals import IntArray, span_mask

RECIPES = Path(__file__).parents[2] / "configs" / "train"


@pytest.mark.train
@pytest.mark.parametrize("recipe", ["seed", "jade"])
def test_a_recipe_is_scored_beside_the_rules_on_the_same_folds(
    recipe: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.json"
    argv = ["--config", str(RECIPES / f"{recipe}.yaml"), "--data", str(data), "--device", "cpu"]
    small = ["--set", "model.hidden_size=4", "--set", "training.epochs=1", "--folds", "2"]
    assert crossval([*argv, *small, "--repeats", "1", "--out", str(out)]) == 0
    assert "repeat 0 fold 1" in capsys.readouterr().out
    written = json.loads(out.read_text())
    scores = written["scores"]
    assert 0 < scores["recipe"]["average_precision"]["value"] < 1
    assert sum(row["said"] for row in written["reliability"]["bar"]) % 105 == 0
    rules = ("largest_bar", "largest_move", "fastest_segment", "local_segment")
    assert set(scores) == {"recipe", *rules, *(f"recipe - {rule}" for rule in rules)}
    for rule in ("fastest_segment", "local_segment"):
        lead = scores[f"recipe - {rule}"]["f1"]
        expected = scores["recipe"]["f1"]["value"] - scores[rule]["f1"]["value"]
        assert lead["value"] == pytest.approx(expected)
        assert lead["low"] <= lead["value"] <= lead["high"]


@pytest.mark.slow
def test_scores_are_pooled_over_folds_and_averaged_over_repeats(data: Path) -> None:
    windows, _ = read_windows(data / "labelled" / "train_210.parquet")

    def answers(rows: IntArray, shift: int) -> Answers:
        part = windows.take(rows)
        said = as_decoded(np.clip(part.spans + shift, 0, 105), 105)
        sums = window_sums(said, None, Truth(part.spans, part.types, part.group))
        return Answers(rows, dict.fromkeys(("recipe", "fastest_segment", "local_segment"), sums))

    rows = np.random.default_rng(0).permutation(len(windows))
    right = [answers(rows[:100], 0), answers(rows[100:], 0)]
    wrong = [answers(rows[:50], 60), answers(rows[50:], -60)]
    table = compare([right, wrong], windows.group, "recipe")
    assert table["recipe"]["f1"]["value"] == pytest.approx(0.5, abs=0.02)
    assert table["recipe - local_segment"]["iou50"]["value"] == 0
    perfect = compare([right], windows.group, "recipe")["recipe"]["f1"]
    assert (perfect["value"], perfect["low"], perfect["high"]) == (1, 1, 1)


@pytest.mark.slow
def test_the_area_is_that_of_the_pooled_bars(data: Path) -> None:
    from sklearn.metrics import average_precision_score

    windows, _ = read_windows(data / "labelled" / "train_210.parquet")
    inside = span_mask(windows.spans, 105)
    probs = np.random.default_rng(1).random(inside.shape) + 0.3 * inside
    rows = np.random.default_rng(2).permutation(len(windows))

    def answers(rows: IntArray) -> Answers:
        part = windows.take(rows)
        truth = Truth(part.spans, part.types, part.group)
        sums = window_sums(as_decoded(part.spans, 105), None, truth)
        return Answers(rows, {"recipe": sums}, {"recipe": probs[rows]}, inside[rows])

    table = compare([[answers(rows[:70]), answers(rows[70:])]], windows.group, "recipe")
    area = table["recipe"]["average_precision"]
    assert area["value"] == pytest.approx(average_precision_score(inside.ravel(), probs.ravel()))
    assert area["low"] < area["value"] < area["high"]
