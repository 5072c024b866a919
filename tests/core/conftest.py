from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from moola_core.config.sections import Recipe
from moola_core.data.synthetic import Market, make_market, windows_table
from moola_core.data.windows import Windows, read_windows


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def market() -> Market:
    return make_market(20_000, seed=3)


@pytest.fixture(scope="session")
def labelled_file(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    table, _ = windows_table(market, 60, per_span=1, shifts=True, seed=5)
    path = tmp_path_factory.mktemp("data") / "labelled" / "train_60.parquet"
    path.parent.mkdir()
    pq.write_table(table, path)
    return path


@pytest.fixture(scope="session")
def windows(labelled_file: Path) -> Windows:
    read, faults = read_windows(labelled_file)
    assert faults == []
    return read


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def small_recipe() -> Recipe:
    """Every head, every augmentation, a tenth of the size."""
    return Recipe.model_validate(
        {
            "name": "small",
            "split": {"kind": "grouped"},
            "model": {
                "hidden_size": 8,
                "pooled_size": 8,
                "tasks": ["pointer", "type", "span", "countdown", "edges"],
            },
            "training": {"epochs": 3, "batch_size": 16, "reflection": True, "schedule": "cosine"},
            "decoder": {"kind": "best_span"},
        }
    )
