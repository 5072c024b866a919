from __future__ import annotations

import errno
import subprocess
from pathlib import Path

import pytest
import torch

from moola_core.errors import CheckpointError
from moola_core.training import checkpoint as checkpoint_module
from moola_core.training.checkpoint import (
    Checkpoint,
    checkpoint_name,
    load_checkpoint,
    load_latest,
    save_checkpoint,
)


def _save(folder: Path, epoch: int, batch: int = 0) -> Path:
    tensors = {"model.weight": torch.full((3,), float(epoch)), "rng": torch.arange(4).byte()}
    name = checkpoint_name(epoch, batch)
    return save_checkpoint(folder, Checkpoint(name, tensors, {"epoch": epoch, "batch": batch}))


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    path = _save(tmp_path, 10)
    assert path.name == "epoch-0010"
    loaded = load_checkpoint(path)
    assert loaded.state == {"schema": 1, "epoch": 10, "batch": 0}
    assert torch.equal(loaded.tensors["model.weight"], torch.full((3,), 10.0))
    assert loaded.tensors["rng"].dtype == torch.uint8


@pytest.mark.process
def test_its_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    path = _save(tmp_path, 1)
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=path, check=True)


def test_the_last_two_are_kept_and_nothing_aside(tmp_path: Path) -> None:
    for epoch in (5, 10, 15):
        _save(tmp_path, epoch)
    _save(tmp_path, 15, batch=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-0015", "epoch-0015-batch-0003"]
    assert load_latest(tmp_path)[0].state["batch"] == 3


def test_one_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    (_save(tmp_path, 5) / "tensors.safetensors").write_bytes(b"torn")
    _save(tmp_path, 5)
    assert load_latest(tmp_path)[1] == []
    assert [p.name for p in tmp_path.iterdir()] == ["epoch-0005"]


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_torn_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, file: str, damage: str
) -> None:
    _save(tmp_path / "checkpoints", 5)
    torn = _save(tmp_path / "checkpoints", 10) / file
    data = torn.read_bytes()
    torn.unlink()
    if damage != "gone":
        torn.write_bytes(data[:-7] if damage == "cut" else bytes([data[0] ^ 1]) + data[1:])
    checkpoint, lines = load_latest(tmp_path)
    assert checkpoint.state["epoch"] == 5
    assert len(lines) == 1
    assert "epoch-0010: torn checkpoint" in lines[0]


def test_no_checkpoint_is_an_error_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a checkpoint to resume from, got none"):
        load_latest(tmp_path)
    (_save(tmp_path, 5) / "state.json").unlink()
    with pytest.raises(CheckpointError, match="got only torn ones"):
        load_latest(tmp_path)


def test_an_unfinished_one_is_not_seen(tmp_path: Path) -> None:
    (tmp_path / ".epoch-0010.123").mkdir()
    _save(tmp_path, 5)
    assert load_latest(tmp_path)[0].state["epoch"] == 5


def test_an_earlier_run_that_went_further_costs_none_of_this_one(tmp_path: Path) -> None:
    for epoch in (25, 30, 5, 10, 15):
        _save(tmp_path, epoch)
    kept = ["epoch-0010", "epoch-0015", "epoch-0025", "epoch-0030"]
    assert sorted(p.name for p in tmp_path.iterdir()) == kept
    (tmp_path / "epoch-0025" / "state.json").write_bytes(b"torn")

    def is_ours(one: Checkpoint) -> bool:
        return bool(one.state["epoch"] < 20)

    found, torn = load_latest(tmp_path, is_ours)
    assert found.state["epoch"] == 15
    assert [line.partition(": ")[0] for line in torn] == [str(tmp_path / "epoch-0025")]
    assert load_latest(tmp_path)[0].state["epoch"] == 30
    assert load_latest(tmp_path, lambda _: False)[0].state["epoch"] == 30


def test_a_full_disk_gets_its_space_back_and_the_one_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(tmp_path, 5)
    write = checkpoint_module._write_durably

    def fill(path: Path, data: bytes) -> None:
        write(path, data)
        if path.name == "state.json":
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "_write_durably", fill)
        with pytest.raises(OSError, match="No space left"):
            _save(tmp_path, 6)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0005"]
    assert load_latest(tmp_path)[0].state["epoch"] == 5


def test_a_state_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _save(tmp_path, 5)
    size = (path / "state.json").stat().st_size
    monkeypatch.setattr(checkpoint_module, "MAX_STATE_BYTES", size)
    assert load_checkpoint(path).state["epoch"] == 5
    monkeypatch.setattr(checkpoint_module, "MAX_STATE_BYTES", size - 1)
    with pytest.raises(CheckpointError, match=f"expected at most {size - 1} bytes"):
        load_checkpoint(path)
