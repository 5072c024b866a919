from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from jobs.evaluate import main as evaluate
from jobs.tune import main

pytestmark = pytest.mark.train

DATA_FILE = "labelled/train_210.parquet"


def test_a_decoder_is_chosen_that_evaluate_takes(
    small_run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(small_run), "--data", str(data), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "threshold     F1  prec. recall  IoU50\n      0.1" in printed
    assert "chosen: " in printed
    assert (tmp_path / "decoder.png").read_bytes().startswith(b"\x89PNG")
    decoder = yaml.safe_load((tmp_path / "decoder.yaml").read_text())["decoder"]
    asked = ["--run", str(small_run), "--data", str(data), "--file", DATA_FILE]
    out = tmp_path / "scores.json"
    chosen = ["--decoder", str(tmp_path / "decoder.yaml"), "--out", str(out)]
    assert evaluate([*asked, *chosen]) == 0
    assert json.loads(out.read_text())["decoder"] == decoder


def test_another_training_file_is_refused(
    small_run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labelled").mkdir()
    shutil.copy(data / "labelled" / "test_1000.parquet", tmp_path / DATA_FILE)
    assert main([str(small_run), "--data", str(tmp_path)]) == 10
    assert "not the file that the run was trained on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "expected a decoder of jobs.tune"),
        ("threshold: 0.3", "expected YAML with the section decoder"),
        ("decoder: {threshold: 3}", "threshold: input should be less than 1, got 3"),
    ],
)
def test_a_bad_decoder_is_refused(
    small_run: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    expected: str,
) -> None:
    path = tmp_path / "decoder.yaml"
    if text is not None:
        path.write_text(text)
    asked = ["--run", str(small_run), "--data", str(data), "--file", DATA_FILE]
    assert evaluate([*asked, "--decoder", str(path)]) == 10
    assert expected in capsys.readouterr().err
