from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jobs.evaluate import main as evaluate
from jobs.train import main as train

pytestmark = pytest.mark.train

SEED = Path(__file__).parents[2] / "configs" / "train" / "seed.yaml"


def test_a_trained_model_is_scored_beside_the_rules(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    small = ["--set", "model.hidden_size=8", "--epochs", "1", "--use-crf"]
    argv = ["--config", str(SEED), "--run-dir", str(run), "--data", str(data)]
    assert train([*argv, *small]) == 0
    out = tmp_path / "scores.json"
    asked = ["--run", str(run), "--data", str(data), "--file", "labelled/test_1000.parquet"]
    assert evaluate([*asked, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "recipe seed, 1000 windows of labelled/test_1000.parquet" in said
    assert "share bars with" not in said
    scores = json.loads(out.read_text())
    assert (scores["run"], scores["file"]["windows"]) == ("run", 1000)
    assert len(scores["scores"]) == 14
    assert scores["comparison"]["largest_move"]["f1"]["value"] > 0.2
    again = [*asked[:-1], "labelled/train_210.parquet"]
    assert evaluate(again) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"note: \d+ of 210 windows share bars with those that the run was trained on", said
    )


def test_a_folder_without_a_model_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--run", str(tmp_path), "--data", str(data), "--file", "labelled/test_1000.parquet"]
    assert evaluate(asked) == 10
    assert "expected a trained model" in capsys.readouterr().err
