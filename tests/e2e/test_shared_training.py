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


def test_it_is_one_run_that_is_cancelled_and_resumed(
    pod: AgentPod, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = market(tmp_path_factory)
    words = [
        *(sys.executable, "-m", "jobs.train", "--config", "configs/train/pretrain.yaml"),
        *("--set", "pretrain.bars=[bars/synthetic_1m.parquet]", "--set", "pretrain.windows=64"),
        *("--set", "model.hidden_size=8", "--set", "training.batch_size=16", "--device", "cpu"),
        *("--data", str(data), "--set", "training.learning_rate=0.01"),
    ]
    script = f"cd '{ROOT}' && exec \"$@\""
    run_id = pod.start("sh", "-c", script, "sh", *words, "--epochs", "400", gpus=2)
    events = pod.folder(run_id) / "events.jsonl"
    wait_until(lambda: events.exists() and '"kind": "epoch"' in events.read_text())
    assert "2 processes" in (pod.folder(run_id) / "log").read_text()
    assert pod.ask("cancel", run_id)["ok"]
    state = pod.wait(run_id)
    assert (state["state"], state["returncode"]) == ("CANCELLED", 143)
    assert list((pod.folder(run_id) / "checkpoints").glob("epoch-*/SHA256SUMS"))
    manifest = json.loads((pod.folder(run_id) / "manifest.json").read_text())
    names = {file["path"] for file in manifest["files"]}
    assert {"ranks/1.log", "events.jsonl", "log"} <= names
    done = int(json.loads(events.read_text().splitlines()[-1]).get("epoch", 0)) + 2
    again = [*words, "--epochs", str(done)]
    second = pod.start("sh", "-c", script, "sh", *again, gpus=2, parent=run_id)
    state = pod.wait(second)
    assert state["state"] == "SUCCEEDED", (pod.folder(second) / "log").read_text()
    assert "resuming after epoch" in (pod.folder(second) / "log").read_text()
