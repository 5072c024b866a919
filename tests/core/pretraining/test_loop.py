from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from moola_core.config.sections import Recipe
from moola_core.data.synthetic import Market, bars_table
from moola_core.errors import DataError, NonFiniteLossError
from moola_core.model.jade import JadeCompact, make_encoder
from moola_core.pretraining.encoder_file import load_encoder, save_encoder
from moola_core.pretraining.loop import fit, scores
from moola_core.pretraining.state import Pretraining, make_pretraining, restore
from moola_core.training.checkpoint import load_latest
from moola_core.training.seeding import seed_everything
from moola_core.training.state import Stopped
from tests.support.tensors import assert_close

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def data_dir(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bars")
    pq.write_table(bars_table(market).slice(0, 4000), folder / "market.parquet")
    return folder


def _recipe(**training: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "small",
            "pretrain": {"bars": ["market.parquet"], "windows": 64},
            "model": {"hidden_size": 8, "input_dropout": 0.1},
            "training": {
                "epochs": 3,
                "batch_size": 16,
                "learning_rate": 0.01,
                "schedule": "cosine",
                "clip_norm": 1.0,
                "reflection": True,
                "checkpoint_epochs": 1,
                **training,
            },
        }
    )


def _begin(data_dir: Path, checkpoints: Path | None = None, **training: Any) -> Pretraining:
    recipe = _recipe(**training)
    seed_everything(recipe.training)
    run = make_pretraining(recipe, data_dir, torch.device("cpu"))
    run.checkpoints = checkpoints
    return run


def test_it_learns_to_beat_both_rules(data_dir: Path) -> None:
    run = _begin(data_dir, epochs=40, reflection=False)
    fit(run)
    judged = scores(run)
    assert judged["model"].value < 0.97 * judged["column_mean"].value
    assert judged["model"].value < judged["interpolation"].value
    assert run.history[-1]["validation"]["total"] == pytest.approx(judged["model"].value, rel=1e-5)


def test_two_runs_of_a_seed_are_bit_identical(data_dir: Path) -> None:
    first = _begin(data_dir)
    fit(first)
    second = _begin(data_dir)
    fit(second)
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name


@pytest.mark.parametrize("stop_at", [2, 4, 9])
def test_a_run_that_is_stopped_and_resumed_ends_bit_identical(
    data_dir: Path, tmp_path: Path, stop_at: int
) -> None:
    whole = _begin(data_dir)
    fit(whole)
    first, asked = _begin(data_dir, tmp_path), 0

    def is_stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked > stop_at

    first.is_stopping = is_stopping
    with pytest.raises(Stopped):
        fit(first)
    second = _begin(data_dir, tmp_path)
    torch.manual_seed(99)
    restore(second, load_latest(tmp_path)[0])
    fit(second)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    assert [e["train"] for e in whole.history] == [e["train"] for e in second.history]


def test_a_loss_that_is_not_finite_is_named(data_dir: Path) -> None:
    run = _begin(data_dir, learning_rate=1e30, clip_norm=None)
    with pytest.raises(NonFiniteLossError, match="the loss of reconstruction is"):
        fit(run)


@pytest.mark.parametrize("below", ["", "artifacts"])
def test_its_encoder_loads_into_jade_compact(data_dir: Path, tmp_path: Path, below: str) -> None:
    run = _begin(data_dir)
    (tmp_path / below).mkdir(exist_ok=True)
    save_encoder(tmp_path / below, run)
    model = JadeCompact(12, run.recipe.model)
    assert model.encoder is not None
    load_encoder(model.encoder, tmp_path)
    features = torch.rand(2, 105, 12)
    assert_close(model.encoder(features)[0], run.model.encoder(features)[0])


@pytest.mark.parametrize(
    ("num_features", "size", "expected"),
    [
        (13, 8, "made for 12 features, expected 13; set data.position alike"),
        (12, 9, "an encoder of other sizes; set model.hidden_size"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused(
    data_dir: Path, tmp_path: Path, num_features: int, size: int, expected: str
) -> None:
    run = _begin(data_dir)
    save_encoder(tmp_path, run)
    config = run.recipe.model.model_copy(update={"hidden_size": size})
    with pytest.raises(DataError, match=expected):
        load_encoder(make_encoder(num_features, config), tmp_path)


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path) -> None:
    encoder = make_encoder(12, _recipe().model)
    with pytest.raises(DataError, match="expected a run of the recipe pretrain"):
        load_encoder(encoder, tmp_path)
    (tmp_path / "encoder.safetensors").write_bytes(b"torn")
    (tmp_path / "encoder.json").write_text('{"features": []}')
    with pytest.raises(DataError, match="not readable"):
        load_encoder(encoder, tmp_path)
