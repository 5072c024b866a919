"""A training that two processes share, as a run of an agent whose pod has two GPUs in name."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pods import AgentPod, give_gpus, share_cache, wait_until
from tests.support.shared import market

pytestmark = [pytest.mark.e2e, pytest.mark.train]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def pod(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentPod]:
    pod = AgentPod(tmp_path / "pod")
    share_cache(pod.root, tmp_path_factory)
    give_gpus(pod, tmp_path / "bin", 2)
    yield pod
    pod.clear()


def test_it_is_cancelled_and_resumed_with_the_same_bits(
    pod: AgentPod, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Of dropout each process draws its own, which a checkpoint has to hold.
    words = [
        *(sys.executable, "-m", "jobs.train", "--config", "configs/train/pretrain.yaml"),
        *("--set", "pretrain.bars=[bars/synthetic_1m.parquet]", "--set", "pretrain.windows=64"),
        *("--set", "model.hidden_size=8", "--set", "training.batch_size=16", "--device", "cpu"),
        *("--data", str(market(tmp_path_factory)), "--set", "training.learning_rate=0.01"),
        *("--set", "model.input_dropout=0.2", "--epochs", "60"),
    ]
    command = ["sh", "-c", f"cd '{ROOT}' && exec \"$@\"", "sh", *words]
    run_id = pod.start(*command, gpus=2)
    wait_until(lambda: epochs_of(pod, run_id))
    assert pod.ask("cancel", run_id)["ok"]
    state = pod.wait(run_id)
    assert (state["state"], state["returncode"]) == ("CANCELLED", 143)
    log = (pod.folder(run_id) / "log").read_text()
    assert "2 processes" in log
    assert "checkpoint written" in log
    assert "Traceback" not in log
    assert not (pod.folder(run_id) / "result.json").exists()
    assert list((pod.folder(run_id) / "checkpoints").glob("epoch-*/SHA256SUMS"))
    manifest = json.loads((pod.folder(run_id) / "manifest.json").read_text())
    names = {file["path"] for file in manifest["files"]}
    assert {"ranks/1.log", "events.jsonl", "log"} <= names
    done = len(epochs_of(pod, run_id))
    second = pod.start(*command, gpus=2, parent=run_id)
    whole = pod.start(*command, gpus=2)
    for one in (second, whole):
        state = pod.wait(one)
        assert state["state"] == "SUCCEEDED", (pod.folder(one) / "log").read_text()
    assert "resuming after epoch" in (pod.folder(second) / "log").read_text()
    assert epochs_of(pod, second) == epochs_of(pod, whole)
    assert 0 < done < len(epochs_of(pod, whole)) == 60
    assert encoder_of(pod, second) == encoder_of(pod, whole)


def epochs_of(pod: AgentPod, run_id: str) -> list[float]:
    """Return the validation loss of each epoch that a run reported."""
    path = pod.folder(run_id) / "events.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [one["validation"]["total"] for one in events if one["kind"] == "epoch"]


def encoder_of(pod: AgentPod, run_id: str) -> bytes:
    """Return the bytes of what a run learnt."""
    return (pod.folder(run_id) / "artifacts" / "encoder.safetensors").read_bytes()
