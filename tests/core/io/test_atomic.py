"""A file of a job that is written whole or not at all."""

from __future__ import annotations

import errno
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moola_core.errors import JobError
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


def test_what_can_not_be_written_is_one_line_and_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder.parquet"
    (folder / "old").mkdir(parents=True)
    table = pa.table({"x": [1]})
    for path in (folder, tmp_path / "none" / "x.parquet", Path("/dev/full/x.parquet")):
        says = re.escape(f"{path}: can't be written, ")
        with (
            pytest.raises(JobError, match=f"^{says}.*; make room, or name another$"),
            replacing(path) as aside,
        ):
            pq.write_table(table, aside)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder.parquet", "old"]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "file.json").write_text("old")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(JobError, match=r"file\.json: can't be written, No space left on device"):
        write_json(tmp_path / "file.json", {})
    assert (tmp_path / "file.json").read_bytes() == b"old"
