from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from jobs.pretrain import main
from jobs.train import main as train

pytestmark = pytest.mark.train

SEED = Path(__file__).parents[2] / "configs" / "train" / "seed.yaml"
SMALL = [
    *("--set", "pretrain.bars=[bars/synthetic_1m.parquet]", "--set", "pretrain.windows=64"),
    *("--set", "model.hidden_size=8", "--set", "training.batch_size=32", "--device", "cpu"),
]


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def pretrained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("pretrain") / "run"
    argv = ["--run-dir", str(run_dir), "--data", str(data), *SMALL]
    before = signal.getsignal(signal.SIGTERM)
    assert main([*argv, "--epochs", "1"]) == 0
    assert main([*argv, "--epochs", "2", "--resume"]) == 0
    signal.signal(signal.SIGTERM, before)
    return run_dir


def test_a_run_writes_what_the_protocol_lists(pretrained: Path) -> None:
    assert sorted(path.name for path in pretrained.iterdir()) == [
        *("artifacts", "checkpoints", "config.yaml", "events.jsonl", "result.json")
    ]
    assert sorted(path.name for path in (pretrained / "artifacts").iterdir()) == [
        *("encoder.json", "encoder.safetensors"),
        *("loss_curves.png", "loss_curves.svg", "metrics.json"),
    ]
    result = json.loads((pretrained / "result.json").read_text())
    assert set(result["scores"]["validation"]["reconstruction"]) == {"value", "low", "high"}
    assert set(result["baselines"]) == {"column_mean", "interpolation"}
    assert (result["recipe"], result["epochs"]) == ("pretrain", 2)
    assert result["data"]["files"][0]["path"] == "bars/synthetic_1m.parquet"


def test_its_events_are_those_of_a_run(pretrained: Path) -> None:
    lines = (pretrained / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert events[0]["tasks"] == ["reconstruction"]
    epochs = [event for event in events if event["kind"] == "epoch"]
    assert [event["epoch"] for event in epochs] == [1, 2]
    assert set(epochs[0]["train"]) == {"total", "reconstruction"}


def test_training_starts_from_its_encoder(
    pretrained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--config", str(SEED), "--run-dir", str(tmp_path), "--data", str(data)]
    # A rate this small leaves the encoder where it was.
    small = ["--set", "model.hidden_size=8", "--set", "training.learning_rate=1e-12"]
    encoder = ["--set", f"model.encoder={pretrained}", "--epochs", "1", "--device", "cpu"]
    assert train([*argv, *small, *encoder]) == 0
    ours = load_file(tmp_path / "artifacts" / "model.safetensors")
    theirs = load_file(pretrained / "artifacts" / "encoder.safetensors")
    for name, weights in theirs.items():
        found = next(value for key, value in ours.items() if key.endswith(f"encoder.{name}"))
        assert found == pytest.approx(weights, abs=1e-6)
    files = json.loads((tmp_path / "result.json").read_text())["data"]["files"]
    assert files[-1]["path"] == str(pretrained)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--set", "pretrain.bars=[bars/none.parquet]"], "none.parquet: no such file"),
        (["--set", "pretrain.mask_share=1.5"], "pretrain.mask_share: input should be less than 1"),
        (["--set", "pretrain.validation_share=0.0001"], "expected 105 or more on both sides"),
    ],
)
def test_bad_input_is_one_line(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    expected: str,
) -> None:
    assert main(["--run-dir", str(tmp_path), "--data", str(data), *SMALL, *options]) == 10
    printed = capsys.readouterr().err
    assert expected in printed
    assert printed.count("\n") == 1


def test_another_runs_encoder_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--config", str(SEED), "--run-dir", str(tmp_path / "run"), "--data", str(data)]
    assert train([*argv, "--set", f"model.encoder={tmp_path}"]) == 10
    assert "expected a run of the recipe pretrain" in capsys.readouterr().err
