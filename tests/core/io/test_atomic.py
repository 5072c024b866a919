"""A file of a job that is written whole or not at all."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moola_core.io.atomic import replacing
from moola_core.io.json_file import write_json


def test_two_threads_that_write_one_file_at_once_both_succeed(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda turn: write_json(path, {"turn": [turn] * 500}), range(100)))
    turns = json.loads(path.read_bytes())["turn"]
    assert len(turns) == 500
    assert len(set(turns)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["file.json"]


def test_a_folder_whose_block_raises_leaves_nothing(tmp_path: Path) -> None:
    def stop_half_way() -> None:
        with replacing(tmp_path / "folder") as aside:
            (aside / "inner").mkdir(parents=True)
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        stop_half_way()
    assert list(tmp_path.iterdir()) == []
