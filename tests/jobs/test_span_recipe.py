"""Recipe `span` on a small file: networks, columns and their pool in one run."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from jobs.common import members, weighing
from jobs.common.fitting import load, pool_split
from jobs.common.signals import STOPPED
from jobs.evaluate import main as evaluate
from jobs.train import main as train
from jobs.tune import main as tune
from moola_core.config.recipe import load_recipe
from moola_core.config.sections import Recipe
from moola_core.data.windows import read_windows
from moola_core.features.tensors import WindowTensors
from moola_core.inference.pool import PoolWeights
from moola_core.inference.trained_model import load_model
from moola_core.io.event_log import EventLog
from moola_core.model.make import Model
from moola_core.model.span_net import SpanNet
from moola_core.training import loop
from moola_core.training.type_head import fit_type_head

pytestmark = pytest.mark.train  # each needs a run

SMALL = ["model.width=4", "data.windows=40", "candidates.number=40", "ensemble.seeds=2"]
UNITS = "ensemble.columns=[{bars: 20}, {kind: wilder, fee: 0.35}]"


def _train(run: Path, data: Path, *more: str) -> int:
    argv = ["--run-dir", str(run), "--data", str(data), "--device", "cpu"]  # the default recipe
    sets = [part for one in (*SMALL, UNITS) for part in ("--set", one)]
    return train([*argv, *sets, "--epochs", "2", *more])


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("span") / "run"
    assert _train(folder, data) == 0
    return folder


def test_the_card_says_how_networks_and_columns_were_weighed(run: Path) -> None:
    card = json.loads((run / "artifacts" / "model.json").read_text())
    assert card["recipe"]["name"] == "span"
    # columns without a say are not fitted
    asked = card["pool"]["spans"][1] > 0 or card["pool"]["types"][1] > 0
    assert len(card["weights"]) == (4 if asked else 2)
    assert set(card["pool"]) == {"spans", "types"}
    assert min(card["pool"]["spans"]) >= 0
    assert max(card["pool"]["spans"]) > 0
    assert card["recipe"]["model"]["max_length"] >= 25


def test_it_is_scored_on_windows_that_taught_neither_networks_nor_columns(
    run: Path, data: Path
) -> None:
    recipe = load_recipe(run / "config.yaml", [])
    loaded = load(recipe, data, "cpu", skip_bad=False)
    split = pool_split(loaded)
    judged = pq.read_table(run / "artifacts" / "predictions.parquet")
    assert set(judged["side"].to_pylist()) == {"validation"}
    left_out = loaded.train.window_id[split.validation].tolist()
    assert sorted(judged["window_id"].to_pylist()) == sorted(left_out)
    assert not set(left_out) & set(loaded.train.window_id[split.train].tolist())
    described = json.loads((run / "events.jsonl").read_text().splitlines()[0])
    assert described["windows"] == {"train": 40, "validation": len(left_out), "test": 0}
    # the scout, which left them out, has half the epochs and a folder of its own
    assert sorted(one.name for one in (run / "checkpoints" / "seed-4").iterdir()) == ["epoch-0001"]
    scores = json.loads((run / "result.json").read_text())["scores"]["validation"]
    assert 0 <= scores["f1"]["value"] <= 1
    assert scores["f1"]["low"] <= scores["f1"]["value"] <= scores["f1"]["high"]


def test_a_loaded_model_answers_the_same_in_one_batch_and_window_by_window(
    run: Path, data: Path
) -> None:
    trained = load_model(run / "artifacts", torch.device("cpu"))
    windows, _ = read_windows(data / "labelled" / "train_210.parquet")
    bars = windows.bars[:6]
    together = trained.predict(bars).span_posterior
    assert together is not None
    np.testing.assert_allclose(together.sum(axis=1), 1.0)
    for i in range(len(bars)):
        alone = trained.predict(bars[i : i + 1]).span_posterior
        assert alone is not None
        np.testing.assert_allclose(alone, together[i : i + 1], rtol=1e-3, atol=1e-6)


def test_a_run_of_one_seed_comes_out_the_same_twice_beside_its_scout_or_after_it(
    run: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(members, "can_fork", lambda *_: False)
    assert _train(tmp_path / "again", data) == 0
    printed = capsys.readouterr().out
    number = len(pq.read_table(run / "artifacts" / "predictions.parquet"))
    assert f"windows: 40 train, {number} of them left out by the first model" in printed
    for path in sorted((run / "artifacts").glob("*.safetensors")):
        assert path.read_bytes() == (tmp_path / "again" / "artifacts" / path.name).read_bytes()
    assert _events(run) == _events(tmp_path / "again")


def test_windows_that_all_share_bars_are_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many labels in a short series: the fold that is left out shows every bar."""
    table = pq.read_table(data / "labelled" / "train_210.parquet").take([0] * 20)
    names = pa.array([f"w{i}" for i in range(20)])
    for column in ("window_id", "base_window_id"):
        table = table.set_column(table.column_names.index(column), column, names)
    (tmp_path / "labelled").mkdir()
    pq.write_table(table, tmp_path / "labelled" / "dense.parquet")
    dense = ["--set", "data.labelled=labelled/dense.parquet", "--set", "data.test=null"]
    dense += ["--set", "data.windows=null"]
    assert _train(tmp_path / "run", tmp_path, *dense) == 10
    said = capsys.readouterr().err.splitlines()[-1]
    assert "got 0 to train on and 4 to validate; give windows of more bars" in said


def test_the_head_of_types_is_fitted_once_a_network(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = tmp_path / "fits"

    def fit_and_note(model: Model, windows: WindowTensors, recipe: Recipe) -> None:
        if isinstance(model, SpanNet):
            with fits.open("a") as file:  # of two processes
                file.write(f"{recipe.training.seed}\n")
        fit_type_head(model, windows, recipe)

    monkeypatch.setattr(loop, "fit_type_head", fit_and_note)
    seeds = {}
    for name, is_forked in (("beside", True), ("after", False)):
        monkeypatch.setattr(members, "can_fork", lambda *_, is_forked=is_forked: is_forked)
        assert _train(tmp_path / name, data, "--set", "ensemble.refine=null") == 0
        seeds[name] = sorted(fits.read_text().splitlines())
        fits.unlink()
    assert seeds["beside"] == seeds["after"]
    assert len(set(seeds["after"])) == len(seeds["after"]) == 3  # the scout and two networks


def test_a_run_that_is_stopped_and_resumed_twice_ends_the_same(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SIGTERM while the scout is trained, then while networks are, whose first epochs wait for it
    write, here = EventLog.write, os.getpid()

    def write_and_stop(self: EventLog, kind: str, **keys: Any) -> None:
        write(self, kind, **keys)
        if kind == "epoch" and os.getpid() == here:
            os.kill(here, signal.SIGTERM)

    for number, more in enumerate([[], ["--resume"], ["--resume"]]):
        with monkeypatch.context() as patched:
            if number < 2:
                patched.setattr(EventLog, "write", write_and_stop)
            try:
                code: Any = _train(tmp_path, data, *more)
            except SystemExit as left:  # nothing was being trained at that moment
                code = left.code
            assert code == (STOPPED if number < 2 else 0)
    for path in sorted((run / "artifacts").glob("*.safetensors")):
        assert path.read_bytes() == (tmp_path / "artifacts" / path.name).read_bytes()
    epochs = [one["epoch"] for one in _events(tmp_path) if one["kind"] == "epoch"]
    assert epochs == [one["epoch"] for one in _events(run) if one["kind"] == "epoch"]


def test_a_test_file_is_answered_beside_the_fold_where_columns_have_no_say(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = PoolWeights((0.9, 0.0), (1.0, 0.0))
    monkeypatch.setattr(weighing, "fit_pool", lambda *_: weights)
    assert _train(tmp_path, data, "--set", "data.test=labelled/train_210.parquet") == 0
    answered = pq.read_table(tmp_path / "artifacts" / "predictions.parquet")
    assert set(answered["side"].to_pylist()) == {"validation", "test"}
    assert "evidence_columns" not in answered.column_names


def test_the_network_that_looks_closer_is_the_same_beside_the_first_after_it_and_resumed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # networks alone have a say, so that it is fitted once the weights are known
    weights = PoolWeights((0.9, 0.0), (1.0, 0.0))
    monkeypatch.setattr(weighing, "fit_pool", lambda *_: weights)
    send, here = members._Sent.write, os.getpid()

    def send_and_stop(self: members._Sent, kind: str, **keys: Any) -> None:
        send(self, kind, **keys)
        if kind == "epoch" and os.getpid() == here:
            os.kill(here, signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(members._Sent, "write", send_and_stop)
        assert _train(tmp_path / "stopped", data) == STOPPED
    assert _train(tmp_path / "stopped", data, "--resume") == 0
    assert _train(tmp_path / "beside", data) == 0
    monkeypatch.setattr(members, "can_fork", lambda *_: False)
    assert _train(tmp_path / "after", data) == 0
    after = {one.name: one.read_bytes() for one in _weights(tmp_path / "after")}
    assert len(after) == 3
    assert len(set(after.values())) == 3
    for folder in ("stopped", "beside"):
        assert {one.name: one.read_bytes() for one in _weights(tmp_path / folder)} == after
    assert _events(tmp_path / "beside") == _events(tmp_path / "after")
    card = json.loads((tmp_path / "after" / "artifacts" / "model.json").read_text())
    crop = card["recipe"]["ensemble"]["refine"]["crop"]
    assert crop % 8 == 0
    closer = load_model(tmp_path / "after" / "artifacts", torch.device("cpu")).models[-1]
    assert isinstance(closer, SpanNet)
    assert closer.max_length <= crop


def _weights(run: Path) -> list[Path]:
    return sorted((run / "artifacts").glob("*.safetensors"))


def _events(run: Path) -> list[dict[str, Any]]:
    """Return a run's events without what depends on the clock."""
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [{k: v for k, v in one.items() if k not in ("t", "seconds")} for one in events]


def test_tune_judges_a_run_of_all_windows_by_what_its_scout_left_out(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(run), "--data", str(data), "--out", str(tmp_path), "--device", "cpu"]
    assert tune(argv) == 0
    printed = capsys.readouterr().out
    number = len(pq.read_table(run / "artifacts" / "predictions.parquet"))
    assert f"{number} validation windows" in printed
    # scout and columns come out as in the run, so that its own decoder has the run's own score
    scores = json.loads((run / "result.json").read_text())["scores"]["validation"]
    own = next(line for line in printed.splitlines() if line.startswith("the run's own"))
    assert f" {scores['f1']['value']:.3f} " in own
    assert (tmp_path / "decoder.yaml").exists()


def test_it_is_scored_beside_the_rules_and_a_plain_unet(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--run", str(run), "--data", str(data), "--file", "labelled/train_210.parquet"]
    assert evaluate([*argv, "--device", "cpu", "--peers"]) == 0
    printed = capsys.readouterr().out
    assert "recipe - local_segment" in printed
    assert "recipe - plain_unet" in printed
