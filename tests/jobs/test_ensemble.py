"""Several seeds in one run, several runs in one, and what comes of a run that was interrupted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from jobs.common import weighing
from jobs.ensemble import main as join
from jobs.evaluate import main as evaluate
from jobs.train import main as train
from jobs.tune import main as tune
from moola_core.inference.pool import PoolWeights

pytestmark = pytest.mark.train

RECIPES = Path(__file__).parents[2] / "configs" / "train"
JADE, LINEAR = RECIPES / "jade.yaml", RECIPES / "jade-ensemble.yaml"
UNITS = "ensemble.units=[{bars: 20}, {kind: wilder, fee: 0.35}]"


def _train(run: Path, data: Path, *more: str) -> None:
    small = ["--set", "model.hidden_size=8", "--set", "candidates.number=40", "--epochs", "2"]
    small += ["--set", "split.validation_share=0"]
    argv = ["--config", str(JADE), "--run-dir", str(run), "--data", str(data), "--device", "cpu"]
    assert train([*argv, *small, *more]) == 0


def _train_units(run: Path, data: Path, *more: str) -> None:
    small = ["--set", "candidates.number=40", "--epochs", "2", "--set", UNITS]
    argv = ["--config", str(LINEAR), "--run-dir", str(run), "--data", str(data), "--device", "cpu"]
    assert train([*argv, *small, *more]) == 0


def _weights(run: Path, name: str) -> dict[str, Any]:
    return {key: value.tolist() for key, value in load_file(run / "artifacts" / name).items()}


@pytest.fixture(scope="module")
def two(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("two") / "run"
    _train(run, data, "--set", "ensemble.seeds=2", "--seed", "4")
    return run


def test_each_seed_has_a_model_and_its_epochs_are_counted_on(two: Path) -> None:
    models = {path.name for path in (two / "artifacts").glob("*.safetensors")}
    assert models == {"model-4.safetensors", "model-5.safetensors"}
    events = [json.loads(line) for line in (two / "events.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in events if e["kind"] == "epoch"] == [1, 2, 3, 4]
    assert {e["epochs"] for e in events if e["kind"] != "checkpoint"} == {4}
    paths = [e["path"] for e in events if e["kind"] == "checkpoint"]
    assert paths == ["checkpoints/seed-4/epoch-0002", "checkpoints/seed-5/epoch-0002"]
    assert all((two / path).is_dir() for path in paths)


def test_a_run_on_every_window_has_no_score_of_its_own(two: Path) -> None:
    result = json.loads((two / "result.json").read_text())
    assert result["scores"] == {"validation": {}, "test": None}
    assert (result["epochs"], result["baselines"]) == (4, {})
    assert not (two / "artifacts" / "predictions.parquet").exists()


def test_a_member_is_the_model_of_its_seed_alone(two: Path, data: Path, tmp_path: Path) -> None:
    _train(tmp_path / "one", data, "--set", "ensemble.seeds=1", "--seed", "5")
    alone = _weights(tmp_path / "one", "model.safetensors")
    assert alone == _weights(two, "model-5.safetensors")


def test_an_interrupted_ensemble_goes_on_where_it_was(
    two: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    shutil.copytree(two / "checkpoints" / "seed-4", run / "checkpoints" / "seed-4")
    _train(run, data, "--set", "ensemble.seeds=2", "--seed", "4", "--resume")
    assert "resuming after epoch 2" in capsys.readouterr().out
    for name in ("model-4.safetensors", "model-5.safetensors"):
        assert _weights(run, name) == _weights(two, name)


def test_a_run_that_left_nothing_out_names_what_tune_needs(
    two: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune([str(two), "--data", str(data)]) == 10
    assert "train again with --set split.validation_share=0.2" in capsys.readouterr().err


def test_each_unit_has_a_model_and_they_answer_as_one(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    _train_units(run, data)
    _train_units(other, data, "--seed", "3", "--set", "split.validation_share=0.2")
    models = {path.name for path in (run / "artifacts").glob("*.safetensors")}
    assert models == {"model-0.safetensors", "model-1.safetensors"}
    assert _weights(run, "model-0.safetensors") != _weights(run, "model-1.safetensors")
    joined = tmp_path / "joined"
    assert join(["--runs", str(run), str(other), "--run-dir", str(joined)]) == 0
    for folder in (run, joined):
        asked = ["--run", str(folder), "--data", str(data), "--file", "labelled/train_210.parquet"]
        assert evaluate([*asked, "--out", str(tmp_path / "scores.json")]) == 0
    assert "4 models of 2 runs" in capsys.readouterr().out


def test_runs_are_joined_and_scored_as_one(
    two: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _train(tmp_path / "one", data, "--set", "ensemble.seeds=1")
    joined = tmp_path / "joined"
    assert join(["--runs", str(two), str(tmp_path / "one"), "--run-dir", str(joined)]) == 0
    assert len(list((joined / "artifacts").glob("*.safetensors"))) == 3
    asked = ["--run", str(joined), "--data", str(data), "--file", "labelled/train_210.parquet"]
    assert evaluate([*asked, "--out", str(tmp_path / "scores.json")]) == 0
    assert "local_segment" in capsys.readouterr().out
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert scores["type_f1"]["value"] > 0
    assert 0 < scores["average_precision"]["value"] <= 1


@pytest.mark.parametrize(
    ("say", "more", "beside"),
    [
        ((1.0, 0.0), ["--set", "ensemble.refine=null"], None),
        ((0.1, 1.0), [], "columns answer beside its networks"),
        ((0.9, 0.0), [], "a network looks closer"),
    ],
)
def test_of_the_default_recipe_networks_alone_are_joined(  # noqa: PLR0913 - fixtures
    say: tuple[float, float],
    more: list[str],
    beside: str | None,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(weighing, "fit_pool", lambda *_: PoolWeights(say, say))
    small = ["model.width=4", "data.windows=40", "candidates.number=40"]
    sets = [word for one in (*small, "ensemble.columns=[{bars: 20}]") for word in ("--set", one)]
    argv = ["--run-dir", str(tmp_path / "run"), "--data", str(data), "--device", "cpu", *sets]
    assert train([*argv, "--epochs", "2", *more]) == 0
    run, both = str(tmp_path / "run"), tmp_path / "both"
    code = join(["--runs", run, run, "--run-dir", str(both)])
    if beside:
        assert code == 10
        assert f"run: {beside}, expected networks alone; train" in capsys.readouterr().err
        assert not both.exists()
        return
    assert code == 0
    argv = ["--data", str(data), "--file", "labelled/train_210.parquet", "--device", "cpu"]
    f1 = []
    for one in (run, str(both)):
        assert evaluate(["--run", one, *argv, "--out", str(tmp_path / "scores.json")]) == 0
        f1.append(json.loads((tmp_path / "scores.json").read_text())["scores"]["f1"]["value"])
    assert f1[0] == f1[1] > 0


def test_models_that_see_other_inputs_are_not_joined(
    two: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    _train(other, data, "--set", "ensemble.seeds=1", "--set", "candidates.unit={fee: 0.2}")
    assert join(["--runs", str(two), str(other), "--run-dir", str(tmp_path / "joined")]) == 10
    assert "its model sees other inputs" in capsys.readouterr().err
    assert not (tmp_path / "joined").exists()


def test_the_last_checkpoints_of_a_run_answer_together(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    _train(run, data, "--set", "ensemble.checkpoints=2", "--set", "training.checkpoint_epochs=1")
    names = {path.name for path in (run / "artifacts").glob("*.safetensors")}
    assert names == {"model-0.safetensors", "model-1.safetensors"}
    assert _weights(run, "model-0.safetensors") != _weights(run, "model-1.safetensors")
    argv = ["--run", str(run), "--data", str(data), "--device", "cpu"]
    assert evaluate([*argv, "--file", "labelled/train_210.parquet"]) == 0
    assert "recipe jade, 210 windows" in capsys.readouterr().out
