"""A model knows the length of the bars that it was trained on."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.evaluate import main as evaluate
from jobs.review import main as review
from jobs.train import main as train

pytestmark = pytest.mark.process
SEED = Path(__file__).parents[2] / "configs" / "train" / "seed.yaml"


@pytest.fixture
def five_minutes(data: Path, tmp_path: Path) -> Path:
    """A data folder with windows of one-minute bars and the same said to be of five minutes."""
    (tmp_path / "labelled").mkdir()
    table = pq.read_table(data / "labelled" / "train_210.parquet")
    pq.write_table(table, tmp_path / "labelled" / "train_210.parquet")
    table = table.replace_schema_metadata({"moola.bar_ns": str(300 * 10**9)})
    pq.write_table(table, tmp_path / "labelled" / "five.parquet")
    return tmp_path


def test_windows_of_another_length_are_not_scored_unless_asked(
    small_run: Path, five_minutes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--run", str(small_run), "--data", str(five_minutes), "--device", "cpu"]
    asked += ["--file", "labelled/five.parquet"]
    assert evaluate(asked) == 10
    assert "bars of 5 min, expected 1 min, as" in capsys.readouterr().err
    assert evaluate([*asked, "--any-bar-length"]) == 0


def test_nor_reviewed(
    small_run: Path, five_minutes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(five_minutes / "labelled" / "five.parquet")
    asked = [path, "--run", str(small_run), "--html", str(five_minutes / "review.html")]
    assert review(asked) == 10
    assert "all the same: --any-bar-length" in capsys.readouterr().err
    assert review([*asked, "--any-bar-length"]) == 0


def test_training_and_test_are_of_one_length(
    five_minutes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--set", "data.test=labelled/five.parquet", "--device", "cpu"]
    paths = ["--data", str(five_minutes), "--run-dir", str(five_minutes / "run")]
    assert train(["--config", str(SEED), *paths, *options]) == 10
    assert "five.parquet: bars of 5 min, expected 1 min" in capsys.readouterr().err
