from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.common.data import find_device
from jobs.common.fitting import load
from jobs.common.window_sets import split_windows
from moola_core.config.recipe import load_recipe
from moola_core.data.recrop import locate
from moola_core.data.series import read_bars
from moola_core.data.windows import read_windows
from moola_core.errors import ConfigError, DataError

SEED = Path(__file__).parents[3] / "configs" / "train" / "seed.yaml"


def test_a_larger_draw_of_windows_holds_the_smaller_one(data: Path) -> None:
    windows, _ = read_windows(data / "labelled" / "train_210.parquet")

    def drawn(number: int, seed: int = 0) -> set[str]:
        changes = [f"data.windows={number}", "split.validation_share=0", f"training.seed={seed}"]
        return set(split_windows(windows, load_recipe(SEED, changes))[0].window_id)

    assert (len(drawn(20)), len(drawn(50))) == (20, 50)
    assert drawn(20) < drawn(50) < drawn(210)
    assert drawn(20) != drawn(20, seed=1)
    with pytest.raises(DataError, match=r"data\.windows 211: expected at most 210"):
        drawn(211)


def test_windows_that_are_left_out_by_their_offset_are_counted(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left_out = int((read_windows(data / "labelled" / "train_210.parquet")[0].offset != 0).sum())
    assert left_out > 0
    for offsets, number in ([0], left_out), ("null", 0), ([0, 52, -52], 0):
        load(load_recipe(SEED, [f"data.offsets={offsets}"]), data, "cpu", skip_bad=False)
        said = [line for line in capsys.readouterr().out.splitlines() if "offset" in line]
        assert len(said) == (number > 0)
        assert not said or f": {number} of 210 windows are left out of training" in said[0]
        assert not said or "data.offsets=[0]" in said[0]


def test_crops_join_the_training_windows_and_show_no_bar_of_validation(data: Path) -> None:
    changes = [
        "data.crops={number: 3, bars: bars/synthetic_1m.parquet}",
        "split.kind=grouped",
        "split.purge=true",
    ]
    loaded = load(load_recipe(SEED, changes), data, "cpu", skip_bad=False)
    assert loaded.validation is not None
    num_crops = sum("~" in name for name in loaded.train.window_id)
    assert num_crops > 100
    assert loaded.train_tensors.features.shape[0] == len(loaded.train)
    assert loaded.files[-1]["path"] == "bars/synthetic_1m.parquet"
    series = read_bars(data / "bars" / "synthetic_1m.parquet")
    shown = [
        set((locate(some, series)[:, None] + np.arange(105)).ravel().tolist())
        for some in (loaded.train, loaded.validation)
    ]
    assert not shown[0] & shown[1]
    assert torch.isfinite(loaded.train_tensors.weight).all()


def test_a_gpu_that_is_not_there_is_refused_and_not_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [find_device(name).type for name in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(ConfigError, match="--device cuda: this machine has no usable GPU"):
        find_device("cuda")
