"""The job as a process of its own: what it writes, how it is stopped, resumed and refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.train import main
from tests.support.lanes import HANGS_S, slowdown
from tests.support.pods import AgentPod, share_cache, wait_until

pytestmark = pytest.mark.train

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "configs" / "train"
# Small and many epochs: there is time to be stopped in.
SMALL = [
    *("--set", "model.hidden_size=8", "--set", "training.checkpoint_epochs=2"),
    *("--device", "cpu"),
]


def _argv(recipe: str, run_dir: Path | None, data: Path, *more: str) -> list[str]:
    paths = ["--config", str(RECIPES / f"{recipe}.yaml"), "--data", str(data)]
    paths += ["--run-dir", str(run_dir)] if run_dir else []
    return [*paths, *SMALL, *more]


def _start(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jobs.train", *argv]
    with log.open("wb") as out:
        return subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)


def _events(run_dir: Path) -> list[dict[str, Any]]:
    path = run_dir / "events.jsonl"
    if not path.exists():
        return []
    return [
        json.loads(line) for line in path.read_text().splitlines(keepends=True) if line[-1] == "\n"
    ]


def _wait_for_epoch(process: subprocess.Popen[bytes], run_dir: Path, epoch: int) -> None:
    deadline = time.monotonic() + HANGS_S
    while not any(e["kind"] == "epoch" and e["epoch"] >= epoch for e in _events(run_dir)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _without_clock(path: Path) -> Any:
    table = json.loads(path.read_text())
    for entry in table["history"]:
        del entry["seconds"]
    return table


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def whole_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    log = run_dir.with_name("log")
    process = _start(_argv("jade", run_dir, data, "--epochs", "30"), log)
    assert process.wait(timeout=400) == 0, log.read_text()
    return run_dir


def test_a_run_writes_what_the_protocol_lists(whole_run: Path) -> None:
    assert sorted(p.name for p in whole_run.iterdir()) == [
        *("artifacts", "checkpoints", "config.yaml", "events.jsonl", "result.json")
    ]
    assert sorted(p.name for p in (whole_run / "artifacts").iterdir()) == [
        *("gallery.png", "gallery.svg", "loss_curves.png", "loss_curves.svg"),
        *("metrics.json", "model.json", "model.safetensors"),
        *("predictions.parquet", "reliability.png", "reliability.svg"),
        *("sigma_curves.png", "sigma_curves.svg", "span_probs_soft.png"),
        *("span_probs_soft.svg", "thresholds.png", "thresholds.svg"),
    ]
    assert sorted(p.name for p in (whole_run / "checkpoints").iterdir()) == [
        *("epoch-0028", "epoch-0030")
    ]


def test_its_events_have_the_keys_of_the_protocol(whole_run: Path) -> None:
    events = _events(whole_run)
    assert set(events[0]) == {
        *("schema", "t", "kind", "recipe", "device", "seed", "epochs", "num_parameters"),
        *("num_features", "windows", "tasks", "versions"),
    }
    assert (events[0]["kind"], events[0]["recipe"]) == ("run", "jade")
    assert sum(event["kind"] == "epoch" for event in events) == 30
    assert all(event["schema"] == 1 for event in events)


def test_its_result_has_the_keys_of_the_protocol(whole_run: Path) -> None:
    result = json.loads((whole_run / "result.json").read_text())
    assert set(result) == {
        *("schema", "recipe", "seed", "device", "epochs", "seconds", "decoder", "scores"),
        *("baselines", "sigma", "share", "gradient_share", "num_parameters", "data"),
    }
    assert result["scores"]["test"] is None
    assert set(result["scores"]["validation"]["f1"]) == {"value", "low", "high"}
    assert len(result["scores"]["validation"]) == 14
    assert set(result["baselines"]) == {
        *("largest_bar", "largest_move", "fastest_segment", "local_segment"),
    }
    (file,) = result["data"]["files"]
    assert (file["path"], file["windows"], len(file["sha256"])) == (
        "labelled/train_210.parquet",
        210,
        64,
    )


def test_its_log_has_the_seeds_form(whole_run: Path) -> None:
    log = whole_run.with_name("log").read_text()
    assert " 30/30 " in log
    assert "sigma  1/sigma2  share" in log
    assert "in-span mean" in log


def test_its_predictions_are_a_row_a_validation_window(whole_run: Path) -> None:
    table = pq.read_table(whole_run / "artifacts" / "predictions.parquet")
    assert len(table) == _events(whole_run)[0]["windows"]["validation"]
    assert len(table["span_probs"][0]) == 105
    assert len(table["bars"][0]) == 4 * 105
    hits, said = (sum(table[name].to_pylist()) for name in ("hit_bars", "said_bars"))
    true = sum(
        row["true_stop"] - row["true_start"]
        for row in table.select(["true_start", "true_stop"]).to_pylist()
    )
    f1 = json.loads((whole_run / "result.json").read_text())["scores"]["validation"]["f1"]
    assert 2 * hits / (said + true) == pytest.approx(f1["value"], abs=1e-12)


DISTURBANCES = {
    "sigterm to the job": "PREEMPTED",
    "the job killed": "FAILED",
    "everybody killed": "LOST",
    "cancelled": "CANCELLED",
    "sigterm to the supervisor": "PREEMPTED",
}


def _disturb(pod: AgentPod, run_id: str, how: str) -> None:
    if how == "everybody killed":
        pod.kill(run_id, "supervisor", "keeper", "job")
        pod.state(run_id)
    elif how == "cancelled":
        pod.ask("cancel", run_id)
    else:
        number = signal.SIGKILL if how == "the job killed" else signal.SIGTERM
        os.kill(pod.process(run_id, "job" if "job" in how else "supervisor"), number)


def _newest(run_dir: Path) -> Path:
    return max((run_dir / "checkpoints").glob("epoch-*"))


@pytest.mark.timeout(1200)  # torch starts six times; 30 s on 2 idle cores
def test_a_run_that_is_disturbed_five_times_and_resumed_ends_bit_identical(
    whole_run: Path, data: Path, pod: AgentPod
) -> None:
    """Through the agent, each time as a new run; once the newest checkpoint is torn besides."""
    dice = random.Random(7)
    argv = [sys.executable, "-m", "jobs.train", *_argv("jade", None, data, "--epochs", "30")]
    run_id, torn, done = pod.start(*argv), "", 0
    for how, state in DISTURBANCES.items():
        pod.wait(run_id, "RUNNING")
        target = done = min(done + dice.randrange(2, 6), 26)
        wait_until(lambda: _last_epoch(pod.folder(run_id)) >= target, timeout_s=400)  # noqa: B023
        time.sleep(dice.uniform(0, 0.1))
        asked = time.time()
        _disturb(pod, run_id, how)
        assert pod.wait(run_id)["state"] == state, how
        if state in ("PREEMPTED", "CANCELLED"):
            saved = [e["t"] for e in _events(pod.folder(run_id)) if e["kind"] == "checkpoint"]
            assert 0 < saved[-1] - asked < 5 * slowdown(), how
        if how == "cancelled":
            (_newest(pod.folder(run_id)) / "tensors.safetensors").write_bytes(b"torn")
        run_id = pod.start(*argv, parent=run_id)
        if how == "cancelled":
            torn = run_id
    ended = pod.wait(run_id, timeout_s=400)
    assert ended["state"] == "SUCCEEDED", ended
    assert "torn checkpoint, tensors.safetensors differs" in (pod.folder(torn) / "log").read_text()
    ours = pod.folder(run_id)
    assert [event["epoch"] for event in _events(ours) if event["kind"] == "epoch"] == [
        *range(1, 31)
    ]
    for name in ("model.safetensors", "predictions.parquet"):
        assert (ours / "artifacts" / name).read_bytes() == (
            whole_run / "artifacts" / name
        ).read_bytes(), name
    # Weights, optimizer, generators of sampler and dropout.
    for name in ("epoch-0028", "epoch-0030"):
        path = Path("checkpoints", name, "tensors.safetensors")
        assert (ours / path).read_bytes() == (whole_run / path).read_bytes(), name
    metrics = Path("artifacts", "metrics.json")
    assert _without_clock(ours / metrics) == _without_clock(whole_run / metrics)


def _last_epoch(run_dir: Path) -> int:
    return max(
        (event["epoch"] for event in _events(run_dir) if event["kind"] == "epoch"), default=0
    )


@pytest.fixture
def pod(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentPod]:
    pod = AgentPod(tmp_path / "pod")
    share_cache(pod.root, tmp_path_factory)
    yield pod
    pod.clear()


def test_a_run_ends_by_sigterm_before_it_trains_too(data: Path, tmp_path: Path) -> None:
    process = _start(_argv("jade", tmp_path / "run", data), tmp_path / "log")
    deadline = time.monotonic() + HANGS_S
    # The handler is there once Python runs the job's main; config.yaml comes soon after.
    while not (tmp_path / "run" / "config.yaml").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=HANGS_S) == 143


def test_another_recipes_checkpoint_is_refused(
    whole_run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = _argv("jade", tmp_path / "run", data, "--seed", "3", "--resume", str(whole_run))
    assert main(argv) == 10
    assert "a checkpoint of another run, its recipe differs" in capsys.readouterr().err


def test_a_folder_with_a_longer_run_keeps_and_resumes_this_ones_checkpoints(
    whole_run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole_run / "checkpoints", tmp_path / "run" / "checkpoints")
    argv = _argv("jade", tmp_path / "run", data, "--seed", "3")
    assert main([*argv, "--epochs", "2"]) == 0
    capsys.readouterr()
    assert main([*argv, "--epochs", "3", "--resume"]) == 0
    assert "resuming after epoch 2, batch 0\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--epochs", "0"], "training.epochs: input should be greater than or equal to 1, got 0"),
        (["--set", "model.size=3"], "unknown key model.size, expected one of kind, "),
        (["--set", "data.labelled=labelled/none.parquet"], "none.parquet: no such file"),
        (["--config", "none.yaml"], "none.yaml: no such recipe"),
        (["--data", "nowhere"], "data folder nowhere: no such folder; set --data"),
        (["--run-dir", ""], "run folder: not given, expected --run-dir or MOOLA_RUN_DIR"),
        (["--resume"], "expected a checkpoint to resume from, got none"),
    ],
)
def test_bad_input_is_refused_in_one_line_with_exit_code_10(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], expected: str
) -> None:
    assert main(_argv("seed", tmp_path / "run", data, *more)) == 10
    printed = capsys.readouterr().err
    assert expected in printed
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1


@pytest.mark.parametrize("resumed", [False, True])
def test_a_folder_that_holds_a_training_is_not_used_for_another(
    whole_run: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    resumed: bool,
) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    lines = (whole_run / "events.jsonl").read_bytes()
    (run_dir / "events.jsonl").write_bytes(lines)
    more = ["--resume", str(whole_run)] if resumed else ["--epochs", "1"]
    assert main(_argv("jade", run_dir, data, *more)) == 10
    said = capsys.readouterr().err
    assert f"--run-dir {run_dir}: holds a training, which would be replaced" in said
    assert said.endswith(f"go on with that training: --resume {run_dir}\n")
    assert said.count("\n") == 1
    assert (run_dir / "events.jsonl").read_bytes() == lines
    assert [path.name for path in run_dir.iterdir()] == ["events.jsonl"]


@pytest.mark.parametrize("source", ["run", "run/checkpoints", "run/../run/checkpoints/epoch-0002"])
def test_a_folder_named_in_full_is_resumed_in_place(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = _argv("jade", Path("run"), data.absolute())
    assert main([*argv, "--epochs", "2"]) == 0
    assert main([*argv, "--epochs", "3", "--resume", source]) == 0
    epochs = [event["epoch"] for event in _events(tmp_path / "run") if event["kind"] == "epoch"]
    assert epochs == [1, 2, 3]


def test_another_run_is_resumed_into_a_new_folder(
    whole_run: Path, data: Path, tmp_path: Path
) -> None:
    argv = _argv("jade", tmp_path / "run", data, "--epochs", "31", "--resume", str(whole_run))
    assert main(argv) == 0
    epochs = [event["epoch"] for event in _events(tmp_path / "run") if event["kind"] == "epoch"]
    assert epochs == list(range(1, 32))
